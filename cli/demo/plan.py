"""What is going to be submitted: which clip, by which producer, at which priority, under which id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from protocol.request import Priority
from workers.demo import Clip

#: One request in eight is urgent, three are bulk: about what a live service with an archive sees.
PRIORITIES = (
    Priority.NORMAL,
    Priority.BULK,
    Priority.NORMAL,
    Priority.URGENT,
    Priority.NORMAL,
    Priority.BULK,
    Priority.NORMAL,
    Priority.BULK,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One request that a producer will submit."""

    request_id: str
    path: str
    language: str
    priority: str
    said: str
    """Exactly what is said in it."""


def make_plan(clips: Sequence[Clip], segments: int, prefix: str) -> list[Planned]:
    """Plan `segments` requests, from the start again when the clips run out."""
    chosen = (clips[number % len(clips)] for number in range(segments))
    return [
        Planned(
            request_id=f"{prefix}-{number:04}",
            path=str(clip.path),
            language=clip.language,
            priority=PRIORITIES[number % len(PRIORITIES)],
            said=clip.text,
        )
        for number, clip in enumerate(chosen)
    ]


def write_plan(path: Path, plan: Sequence[Planned]) -> None:
    """Write a producer's share where it will read it."""
    path.write_text(json.dumps([asdict(planned) for planned in plan]), encoding="utf-8")


def read_plan(path: Path) -> list[Planned]:
    """Read what `write_plan` wrote."""
    return [Planned(**planned) for planned in json.loads(path.read_text(encoding="utf-8"))]
