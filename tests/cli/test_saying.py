"""What a command prints arrives whole, or somebody is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Prints what Python evaluates of its arguments, with the errors of the `segue` command.
SCRIPT = """
import sys
import typer
from cli.exits import Verbs
from cli.saying import say, say_json
app = typer.Typer(cls=Verbs, pretty_exceptions_enable=False)
@app.command()
def one(what: str):
    eval(what)
@app.command()
def other(): pass
app()
"""


def printed(
    what: str, *, encoding: str = "utf-8", into: int | None = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    environ = {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", SCRIPT, "one", what]
    return subprocess.run(command, stdout=into, stderr=subprocess.PIPE, env=environ, check=False)


def test_a_document_ends_with_one_line_end() -> None:
    """Whether it has one or not."""
    assert printed(r"say('a'), say('b\n')").stdout == b"a\nb\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("what", ["say('text')", "say_json({'text': 'text'})"])
def test_a_full_disk_is_said_in_one_line(what: str) -> None:
    """Status 1 and no traceback, not Python's own at its end either."""
    with Path("/dev/full").open("wb") as full:
        ran = printed(what, into=full.fileno())
    said = b"segue: standard output cannot be written: No space left on device\n"
    assert (ran.returncode, ran.stderr) == (1, said)


def test_what_the_encoding_does_not_know_is_escaped() -> None:
    """A transcript that a terminal cannot show is worth more than a traceback."""
    assert printed("say('Grüße')", encoding="ascii").stdout == rb"Gr\xfc\xdfe" + b"\n"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_json_stays_json(encoding: str) -> None:
    """A file's name may be no text; umlauts are written as they are where that is possible."""
    value = {"input": "b\udcff.wav", "text": "Grüße"}
    assert json.loads(printed(f"say_json({value!r})", encoding=encoding).stdout) == value
    assert printed("say_json('ü')").stdout == '"ü"\n'.encode()


def test_nobody_who_reads_is_no_mistake() -> None:
    """`segue … | head` ends as other commands do, without a word."""
    reads, writes = os.pipe()
    os.close(reads)
    ran = printed("say('text')", into=writes)
    os.close(writes)
    assert (ran.returncode, ran.stderr) == (1, b"")
