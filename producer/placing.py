"""The segments of a part → where they are in its recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from protocol.request import SAMPLE_RATE
from protocol.transcript import Segment, Word

if TYPE_CHECKING:
    from producer.assembly import Part


def placed(segments: Iterable[Segment], part: Part, *, first: int) -> Iterator[Segment]:
    """The segments of `part` with the times of the recording, numbered from `first` on."""
    for number, segment in enumerate(segments, start=first):
        yield replace(
            segment,
            id=number,
            start=part.start + _start(segment, part),
            end=part.start + segment.end,
            words=segment.words and tuple(_later(word, part.start) for word in segment.words),
        )


def _start(segment: Segment, part: Part) -> float:
    """When `segment` begins, in seconds of its part.

    Whisper says 0 for what begins with the audio segment, and pays the pause before it no attention; what
    has cut it there has heard where it ends.
    """
    return segment.start or min(part.lead / SAMPLE_RATE, segment.end)


def _later(word: Word, by: float) -> Word:
    return replace(word, start=word.start + by, end=word.end + by)
