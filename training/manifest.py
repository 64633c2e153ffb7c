"""The list of the clips of a folder: one JSON object a line in `manifest.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "manifest.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """An audio file and the exact text that is spoken in it."""

    file: str
    """Name of a 16 kHz mono FLAC file in the folder of the manifest."""
    language: str
    text: str
    samples: int
    """Its length at 16 kHz."""


def write_manifest(folder: Path, clips: Iterable[Clip]) -> int:
    """Write the manifest of `folder`, each line as its clip arrives, and return how many there were."""
    with (folder / NAME).open("w", encoding="utf-8") as manifest:
        lines = (json.dumps(asdict(clip), ensure_ascii=False) + "\n" for clip in clips)
        return sum(manifest.write(line) > 0 for line in lines)


def read_manifest(path: Path) -> Iterator[Clip]:
    """The clips that a manifest lists.

    Raises:
        ValueError: a line is not a clip; the message says which.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            yield Clip(**json.loads(line))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {number} is not a clip: {error}") from None
