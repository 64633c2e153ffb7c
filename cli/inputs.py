"""What the files, folders and patterns on a command line stand for."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from protocol.errors import RequestError

#: The names under which the kinds of files that are read are usually found; in a folder, nothing else
#: is taken for audio. A file that is named itself may be called anything.
SUFFIXES = frozenset(".wav .flac .ogg .oga .opus .mp3 .m4a .mp4 .webm".split())

#: What stands for standard input, as everywhere.
STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piped:
    """What came on standard input, as a file that can be read again."""

    file: BinaryIO

    def __str__(self) -> str:
        return "stdin"

    def again(self) -> BinaryIO:
        """All of it, from its beginning."""
        self.file.seek(0)
        return self.file


Input: TypeAlias = Path | Piped | tuple[str, RequestError]
"""A file, or what was given and why there is none."""


def find(given: Iterable[str], held: ExitStack) -> list[Input]:
    """The files that `given` names, each once, in this order; `held` keeps open what must be.

    A folder stands for all audio files in it and below, by their suffix, without hidden ones. A pattern
    that no shell has expanded stands for the files and folders that match; ``**`` goes down. What
    is found in a folder or by a pattern is sorted by name. ``-`` is standard input, read to its end.
    """
    found: list[Input] = []
    seen = set()
    for name in dict.fromkeys(given):
        for one in [_piped(held)] if name == STANDARD_INPUT else _stands_for(name):
            key = os.path.abspath(one) if isinstance(one, Path) else name
            if key not in seen:
                seen.add(key)
                found.append(one)
    return found


def _piped(held: ExitStack) -> Input:
    from producer.long_file import opened

    try:
        return Piped(file=held.enter_context(opened(sys.stdin.buffer)))
    except RequestError as error:
        return "stdin", error


def _stands_for(name: str) -> Iterator[Input]:
    if not os.path.lexists(name) and glob.has_magic(name):
        matches = sorted(glob.glob(name, recursive=True))
        if not matches:
            yield name, RequestError(f"no file matches {name[:80]!r}", "FILE_NOT_FOUND")
        for match in matches:
            yield from _in_folder(match) if os.path.isdir(match) else [Path(match)]
    elif os.path.isdir(name):
        inside = list(_in_folder(name))
        yield from inside
        if not inside:
            yield name, RequestError(f"no audio file in {name[:80]!r}", "FILE_NOT_FOUND")
    else:
        yield Path(name)


def _in_folder(folder: str) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield Path(at, name)
