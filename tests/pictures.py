"""Takes the pictures of terminals that the documents show: `python -m tests.pictures` writes docs/images.

Each is what a terminal of that width shows of real commands, a worker with the demo model behind them. Needs
tmux. Look at them before they are committed: what they show is neither timed nor compared.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

from cli.demo.servers import worker_for_demo
from cli.local_redis import LocalRedis
from tests.documents import ROOT
from tests.integration.test_docs_examples import said, talk, write_wav
from workers.demo import Clip, speech

IMAGES = ROOT / "docs" / "images"

#: The last that the screen shows when nothing runs.
PROMPT = r"(^|\n)\$\s*$"

#: How long a command may take, in seconds.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is typed, and what is awaited before the picture is taken."""

    name: str
    columns: int
    commands: tuple[str, ...]
    until: str
    """A pattern of what the screen shows then."""
    before: str = ""
    """Typed in another terminal."""


PICTURES = (
    Picture(
        name="transcribe",
        columns=100,
        commands=("segue transcribe calls/", "segue transcribe talk.wav -f srt | head -12"),
        until=r"\n3\n(.*\n){2}",
    ),
    Picture(
        name="queue",
        columns=100,
        commands=(
            "segue queue",
            "segue status call-3-10 call-3-28 call-3-180",
            "segue transcribe conference.wav --json -o texts/",
        ),
        before="submit",
        until=r"transcribing conference\.wav, 0:0[1-9]",
    ),
    Picture(name="demo", columns=100, commands=("segue demo --segments 120",), until=r"up --model small"),
)


@contextmanager
def screen(columns: int, environ: Mapping[str, str], folder: Path) -> Iterator[str]:
    """A shell in a terminal of its own; gives the name by which tmux knows it."""
    name = f"picture-{os.getpid()}"
    size = ["-x", str(columns), "-y", "60"]
    command = ["tmux", "-L", name, "-f", os.devnull, "new-session", "-d", *size, "bash", "--norc"]
    subprocess.run(command, check=True, env={**environ, "PS1": "$ "}, cwd=folder)
    try:
        yield name
    finally:
        subprocess.run(["tmux", "-L", name, "kill-server"], check=False)


def shown(name: str, *how: str) -> str:
    """What is on the screen."""
    command = ["tmux", "-L", name, "capture-pane", "-p", "-S", "-", *how]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def wait_for(name: str, pattern: str) -> None:
    """Until the screen shows what matches."""
    give_up_at = time.monotonic() + PATIENCE
    while not re.search(pattern, shown(name)):
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"the screen shows no {pattern!r}: {shown(name)}")
        time.sleep(0.05)


def take(picture: Picture, environ: Mapping[str, str], folder: Path) -> None:
    """Type the commands one after the other, and write what the terminal shows at the end."""
    with screen(picture.columns, environ, folder) as name:
        wait_for(name, PROMPT)
        for number, command in enumerate(picture.commands):
            subprocess.run(["tmux", "-L", name, "send-keys", "-l", command], check=True)
            subprocess.run(["tmux", "-L", name, "send-keys", "Enter"], check=True)
            if number + 1 < len(picture.commands):
                wait_for(name, re.escape(command) + r"\n(.*\n)*\$\s*$")
        wait_for(name, picture.until)
        lines = shown(name, "-e").rstrip().removesuffix("$").rstrip().splitlines()
    console = Console(record=True, width=picture.columns, file=StringIO())
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=True)
    title = picture.commands[0].partition(" --")[0]
    drawn = console.export_svg(title=title, unique_id=f"segue{picture.name}")
    (IMAGES / f"terminal-{picture.name}.svg").write_text(with_local_fonts(drawn), "utf-8")


def with_local_fonts(svg: str) -> str:
    """The picture without the fonts that it would ask a server of others for."""
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", '"DejaVu Sans Mono", Menlo, Consolas, monospace')


def lay_out(folder: Path) -> None:
    """The files that the commands speak of."""
    clips = {clip.path.stem: clip for clip in speech()}
    english = [clip for clip in clips.values() if clip.language == "en"]
    for name, clip in zip(("anna", "berta", "cesar", "dora", "emil"), english, strict=False):
        write_wav(folder / "calls" / f"{name}.wav", said(clip))
    (folder / "calls" / "notes.mp3").write_text("not a sound")
    write_wav(folder / "talk.wav", talk(english[:8]))
    write_wav(folder / "conference.wav", talk(english[:40]))


def submit(redis_url: str, clips: list[Clip]) -> None:
    """As many calls as make a queue."""
    from producer import Client

    with Client(redis_url) as client:
        names = [f"call-3-{number}" for number in range(1, 301)]
        audios = [clips[number % len(clips)].path for number in range(300)]
        client.submit_many(audios, request_ids=names, priority="bulk")


def main() -> None:
    """Take the pictures that are named on the command line, or all."""
    wanted = sys.argv[1:] or [picture.name for picture in PICTURES]
    with TemporaryDirectory() as temporary, LocalRedis() as server:
        folder = Path(temporary)
        lay_out(folder)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environ = {**os.environ, "PATH": path, "REDIS_URL": server.url}
        with worker_for_demo("pictures", folder, environ):
            for picture in (one for one in PICTURES if one.name in wanted):
                if picture.before:
                    submit(server.url, speech())
                own = picture.name == "demo"  # which brings a Redis and workers of its own
                take(picture, {k: v for k, v in environ.items() if not (own and k == "REDIS_URL")}, folder)
        shutil.rmtree(folder / "calls")


if __name__ == "__main__":
    main()
