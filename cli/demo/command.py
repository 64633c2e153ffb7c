"""`segue demo`: start everything, run it twice, show what came out, stop everything."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def demo(
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
    segments: Annotated[
        int, typer.Option(help="Audio segments to transcribe, in each run.", min=1, metavar="N")
    ] = 240,
    producers: Annotated[
        int, typer.Option(help="Processes that submit them.", min=1, max=32, metavar="N")
    ] = 3,
    keep: Annotated[bool, typer.Option(help="Go on at the end, to look at Flower, until Enter.")] = False,
) -> None:
    """See all of it work on this machine, in about a minute.

    Starts a Redis of its own (or takes that of REDIS_URL), Flower and a worker with a small packaged
    model; several producers submit audio segments one by one. First the worker transcribes them one by
    one, then in batches. Ends by itself and stops whatever it started.
    """
    from cli.demo.show import Wishes, show

    wishes = Wishes(segments=segments, producers=producers, as_json=as_json, keep=keep)
    raise typer.Exit(show(wishes, sys.stdout, sys.stderr))
