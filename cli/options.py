"""Options and arguments that several verbs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.outputs import Form

RequestIds = Annotated[list[str], typer.Argument(metavar="ID", help="As `segue submit` printed them.")]
Written = Annotated[
    Form,
    typer.Option(
        "--output-format",
        "--format",
        "-f",
        help="JSON is a line for each input; subtitles need a file each; all is a file each of text, json,"
        " srt, vtt and tsv.",
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--output-dir", "-o", help="Write a file for each input here, named after it.", metavar="DIR"
    ),
]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Print a line of JSON for each input, failed ones included.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")]
LineWidth = Annotated[int, typer.Option(help="Columns of a line of subtitles.", min=2, metavar="N")]
LineCount = Annotated[int, typer.Option(help="Lines of a subtitle.", min=1, metavar="N")]
Patience = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        help="How long to wait in all; else as long as a worker answers.",
        min=0,
        metavar="SECONDS",
    ),
]
RedisUrl = Annotated[
    str | None, typer.Option(help="Where Redis is; else REDIS_URL, else this machine.", metavar="URL")
]
