"""What the files, folders and patterns on a command line stand for."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from protocol.errors import RequestError

#: The names under which the kinds of files that are read are usually found; in a folder, nothing else
#: is taken for audio. A file that is named itself may be called anything.
SUFFIXES = frozenset(".wav .flac .ogg .oga .opus .mp3 .m4a .mp4 .webm".split())

Input = Path | tuple[str, RequestError]
"""A file, or what was given and why there is none."""


def find(given: Iterable[str]) -> list[Input]:
    """The files that `given` names, each once, in this order.

    A folder stands for all audio files in it and below, by their suffix, without hidden ones. A pattern
    that no shell has expanded stands for the files and folders that match; ``**`` goes down. What
    is found in a folder or by a pattern is sorted by name.
    """
    found: list[Input] = []
    seen = set()
    for name in given:
        for one in _stands_for(name):
            key = os.path.abspath(one) if isinstance(one, Path) else one[0]
            if key not in seen:
                seen.add(key)
                found.append(one)
    return found


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
