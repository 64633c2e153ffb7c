"""Cues: the text of a transcript in lines that fit under a picture, each with its time on screen."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.transcript import Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """What is shown from `start` until just before `end`, both in whole milliseconds, `end` the later."""

    start: int
    end: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Some lines and their time in seconds, as the engine said it."""

    start: float
    end: float
    lines: tuple[str, ...]


def cues(transcript: Transcript, *, max_line_width: int, max_line_count: int) -> list[Cue]:
    """The transcript in cues of at most `max_line_count` lines of `max_line_width` columns.

    A segment that needs several cues shares its time among them by their number of characters.
    """
    pieces: list[_Piece] = []
    for segment in _stretches(transcript):
        lines = wrap(segment.lines[0], max_line_width)
        starts = range(0, len(lines), max_line_count)
        pieces += _shared(segment, [tuple(lines[at : at + max_line_count]) for at in starts])
    return _timed(pieces)


def whole_segments(transcript: Transcript) -> list[Cue]:
    """One cue of one line for each segment, however long."""
    return _timed(list(_stretches(transcript)))


def wrap(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` columns, broken at spaces, and inside words that are longer.

    Wide characters (Chinese, Japanese, Korean, emoji) take two columns, combining marks none.
    """
    lines = []
    line = ""
    for word in text.split():
        if line and columns(line) + 1 + columns(word) <= width:
            line += " " + word
            continue
        if line:
            lines.append(line)
        line = word
        while columns(line) > width:
            head = _head(line, width)
            lines.append(head)
            line = line[len(head) :]
    return [*lines, line] if line else lines


def columns(text: str) -> int:
    """How wide `text` is in a font of fixed width."""
    return sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _head(word: str, width: int) -> str:
    """The first characters of `word` that fit, at least one."""
    taken = 0
    for at, character in enumerate(word):
        taken += _columns_of(character)
        if taken > width and at:
            return word[:at]
    return word


def _stretches(transcript: Transcript) -> Iterator[_Piece]:
    """Segments that say something, in order of time; without any, all text over the whole duration."""
    given = sorted(transcript.segments, key=lambda segment: _finite(segment.start))
    spoken = [(segment.start, segment.end, _one_line(segment.text)) for segment in given]
    spoken = [stretch for stretch in spoken if stretch[2]]
    if not spoken and (text := _one_line(transcript.text)):
        spoken = [(0.0, transcript.duration, text)]
    for start, end, text in spoken:
        yield _Piece(start=_finite(start), end=max(_finite(start), _finite(end)), lines=(text,))


def _shared(whole: _Piece, parts: Sequence[tuple[str, ...]]) -> Iterator[_Piece]:
    """`parts` one after the other in the time of `whole`."""
    lengths = [sum(map(len, part)) for part in parts]
    per_character = (whole.end - whole.start) / sum(lengths)
    at = whole.start
    for part, length in zip(parts, lengths, strict=True):
        yield _Piece(start=at, end=at + length * per_character, lines=part)
        at += length * per_character


def _timed(pieces: Sequence[_Piece]) -> list[Cue]:
    """Whole milliseconds, so that every cue lasts at least one and ends before the next begins."""
    starts = [round(1_000 * piece.start) for piece in pieces]
    timed: list[Cue] = []
    for at, piece in enumerate(pieces):
        start = max(starts[at], timed[-1].end if timed else 0)
        end = round(1_000 * piece.end)
        if at + 1 < len(pieces):
            end = min(end, starts[at + 1])
        timed.append(Cue(start=start, end=max(start + 1, end), lines=piece.lines))
    return timed


def _one_line(text: str) -> str:
    """`text` without line breaks, tabs, control characters and double spaces."""
    printable = (" " if unicodedata.category(character) == "Cc" else character for character in text)
    return " ".join("".join(printable).split())


def _finite(seconds: float) -> float:
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0
