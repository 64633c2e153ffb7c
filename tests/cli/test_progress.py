"""How far a command is, is seen where a person looks and in nobody's way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

#: Shows how far two outcomes are, of which one is there, and prints a transcript.
SCRIPT = """
from cli.progress import progress
with progress(2) as bar:
    bar.advance()
    with bar.aside():
        print("a transcript\\t" + 30 * "that is long ", flush=True)
"""

#: What is printed, as it stands.
PRINTED = b"a transcript\t" + 30 * b"that is long "

#: What is left of a bar of which one of two steps is done.
STEP = b"1/2"


def seen(stdout: int | None, script: str = SCRIPT) -> bytes:
    """What a terminal shows of standard error; None puts standard output on it too."""
    screen, inside = os.openpty()
    command = [sys.executable, "-c", script]
    environ = {**os.environ, "TERM": "xterm"}
    out = inside if stdout is None else stdout
    subprocess.run(command, stdout=out, stderr=inside, env=environ, check=True)
    os.write(inside, b"\0")  # so that there is something to read, and an end of it
    said = b""
    while not said.endswith(b"\0"):
        said += os.read(screen, 65_536)
    os.close(inside)
    os.close(screen)
    return said[:-1]


def test_one_screen_shows_transcripts_and_the_bar() -> None:
    """The bar makes room for what is printed, which is not broken into lines of the screen's width."""
    said = seen(None)
    assert STEP in said
    assert PRINTED + b"\r\n" in said


def test_the_bar_comes_back_after_what_is_printed() -> None:
    """There is more to come."""
    before, _, after = seen(None).partition(PRINTED)
    assert STEP in before
    assert STEP in after


def test_a_file_for_the_transcripts_leaves_the_screen_to_the_bar(tmp_path: Path) -> None:
    """And nothing of the bar gets into the file."""
    with (tmp_path / "said.txt").open("wb") as file:
        assert STEP in seen(file.fileno())
    assert (tmp_path / "said.txt").read_bytes() == PRINTED + b"\n"


def test_complaints_are_not_broken_into_lines_either(tmp_path: Path) -> None:
    """They are on the bar's screen wherever transcripts go."""
    script = SCRIPT.replace("print(", "import sys; print(").replace("flush=True", "file=sys.stderr")
    with (tmp_path / "said.txt").open("wb") as file:
        assert PRINTED + b"\r\n" in seen(file.fileno(), script)


def test_there_is_no_bar_before_a_pipe() -> None:
    """Whoever reads the pipe may print on the same screen, where pieces of the bar would stay."""
    out, into = os.pipe()
    assert seen(into) == b""
    os.close(into)
    with os.fdopen(out) as pipe:
        assert pipe.read().encode() == PRINTED + b"\n"


def test_standard_output_may_be_no_file() -> None:
    """In somebody's program it may be an object in memory, which has no descriptor to look at."""
    assert STEP in seen(None, f"import io, sys; sys.stdout = io.StringIO()\n{SCRIPT}")
