"""What is given on a command line: files as they are, folders and patterns for what is in them."""

from __future__ import annotations

import io
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli import inputs
from cli.inputs import Input
from protocol.errors import RequestError


@pytest.fixture(autouse=True)
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recordings, which is where the command runs."""
    for (
        name
    ) in "b.wav a.FLAC notes.txt .hidden.wav deep/er/c.opus .git/d.wav empty/readme.md [x].wav".split():
        path = tmp_path / "calls" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find(given: list[str]) -> list[Input]:
    with ExitStack() as held:
        return inputs.find(given, held)


def names(found: list[Input]) -> list[str]:
    return [f"{one[0]}: {one[1].code}" if isinstance(one, tuple) else str(one) for one in found]


def test_a_folder_is_all_audio_in_it_and_below() -> None:
    """By suffix, whatever its case, sorted, without what is hidden."""
    assert names(find(["calls"])) == ["calls/[x].wav", "calls/a.FLAC", "calls/b.wav", "calls/deep/er/c.opus"]


def test_a_pattern_is_what_matches() -> None:
    """Sorted; `**` goes down; a folder that matches stands for what is in it."""
    assert names(find(["calls/**/*.o*"])) == ["calls/deep/er/c.opus"]
    assert names(find(["calls/[ab].*"])) == ["calls/a.FLAC", "calls/b.wav"]
    assert names(find(["calls/d*"])) == ["calls/deep/er/c.opus"]


def test_a_file_is_itself() -> None:
    """Whatever its name: one with brackets in it, one without a suffix of sound, one that is not there."""
    given = ["calls/[x].wav", "calls/notes.txt", "gone.wav"]
    assert names(find(given)) == given


def test_nothing_comes_twice() -> None:
    """A file that is named by itself and by its folder is one input, at its first place."""
    assert names(find(["calls/b.wav", "calls", "calls/*.wav"])) == [
        "calls/b.wav",
        "calls/[x].wav",
        "calls/a.FLAC",
        "calls/deep/er/c.opus",
    ]


def test_nothing_found_is_an_input_that_failed() -> None:
    """A pattern without a match and a folder without audio are told like a file that is not there."""
    found = find(["*.mp3", "calls/empty"])
    assert names(found) == ["*.mp3: FILE_NOT_FOUND", "calls/empty: FILE_NOT_FOUND"]
    assert all(isinstance(one, tuple) and isinstance(one[1], RequestError) for one in found)


class Standard(io.TextIOWrapper):
    """Standard input that is a pipe: it cannot be read twice."""

    def __init__(self, content: bytes) -> None:
        super().__init__(Pipe(content))


class Pipe(io.BytesIO):
    """Bytes that come once."""

    def seekable(self) -> bool:
        return False


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read to its end, once, and as often again as somebody tries to submit it."""
    monkeypatch.setattr(sys, "stdin", Standard(b"sound"))
    with ExitStack() as held:
        piped, file = inputs.find(["-", "calls/b.wav", "-"], held)
        assert isinstance(piped, inputs.Piped)
        assert [piped.again().read() for _ in range(2)] == [b"sound", b"sound"]
        assert names([piped, file]) == ["stdin", "calls/b.wav"]
    assert piped.file.closed


def test_empty_standard_input_is_an_input_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing came, which is told like an empty file."""
    monkeypatch.setattr(sys, "stdin", Standard(b""))
    assert names(find(["-"])) == ["stdin: AUDIO_EMPTY"]
