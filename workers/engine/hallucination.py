"""Words that were probably never said: improbable or oddly long ones with silence around them.

faster-whisper's rule for `hallucination_silence_threshold` (`generate_segments`, 1.2.1), which needs word
timestamps:

1. If the first words of a window are odd and come after more silence than the threshold, the window is
   heard again from where they begin.
2. Odd words with silence, the window's edge or other odd words on both sides are dropped with all that
   follows, and the next window begins where they began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workers.engine.passage import Passage

#: What is no word by itself (faster-whisper's `punctuation`).
_PUNCTUATION = "\"'“¿([{-\"'.。,，!！?？:：”)]}、"

#: A word is odd below this probability, or if it lasts less or more than so many seconds; of a part the
#: first words are looked at. All from openai/whisper's `transcribe.py`, as faster-whisper has them.
_IMPROBABLE = 0.15
_SHORTEST = 0.133
_LONGEST = 2.0
_SHORTNESS_WEIGHT = 15
_WORDS_LOOKED_AT = 8
_ODD_SCORE = 3.0
_TOLERANCE = 0.01

#: Odd words so near to the window's edge, in seconds, count as next to silence; dropped ones are heard
#: again from so much further on at least.
_EDGE = 2.0
_STEP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What lies around a window. Times in seconds."""

    threshold: float
    """Silence longer than this makes odd words next to it doubtful."""
    last_word_at: float
    content_frames: int
    """Length of the whole audio, in frames."""
    window_frames: int
    """Length of a whole window, in frames."""


def drop_hallucinations(passage: Passage, around: Surroundings) -> bool:
    """Cut `passage` short at words that were probably never said.

    Returns:
        False if nothing of it stands because it is to be heard again from where its words begin.
    """
    spoken = [part for part in passage.parts if part["words"]]
    if not spoken:
        return True
    gap = spoken[0]["start"] - passage.starts_at
    if is_odd(spoken[0]["words"]) and gap > around.threshold:
        passage.next_seek = passage.seek + round(gap * passage.whisper.frames_per_second)
        return False
    last_end = around.last_word_at
    for nth, part in enumerate(spoken):
        following = spoken[nth + 1] if nth + 1 < len(spoken) else None
        if is_odd(part["words"]) and _stands_alone(part, following, last_end, passage, around):
            _cut(passage, part, around)
            return True
        last_end = part["end"]
    return True


def is_odd(words: Sequence[dict[str, Any]]) -> bool:
    """Whether so many of the first words are improbable, too short or too long that none may be true."""
    looked_at = [word for word in words if word["word"] not in _PUNCTUATION][:_WORDS_LOOKED_AT]
    score = sum(map(_oddness, looked_at))
    return score >= _ODD_SCORE or score + _TOLERANCE >= len(looked_at)


def _oddness(word: dict[str, Any]) -> float:
    length = word["end"] - word["start"]
    score = 1.0 if word["probability"] < _IMPROBABLE else 0.0
    score += max(0.0, _SHORTEST - length) * _SHORTNESS_WEIGHT
    return float(score + max(0.0, length - _LONGEST))


def _stands_alone(
    part: dict[str, Any],
    following: dict[str, Any] | None,
    last_end: float,
    passage: Passage,
    around: Surroundings,
) -> bool:
    """Rule 2: whether silence or the like is before it and after it."""
    seconds = passage.whisper.feature_extractor.time_per_frame
    ends_at = (passage.seek + passage.frames) * seconds
    next_start = ends_at if following is None else following["words"][0]["start"]
    before = (
        part["start"] - last_end > around.threshold
        or part["start"] < around.threshold
        or part["start"] - passage.starts_at < _EDGE
    )
    after = (
        next_start - part["end"] > around.threshold
        or (following is not None and is_odd(following["words"]))
        or (passage.seek + around.window_frames) * seconds - part["end"] < _EDGE
    )
    return before and after


def _cut(passage: Passage, part: dict[str, Any], around: Surroundings) -> None:
    """Drop `part` and what follows; if little follows in the audio, that is not heard again."""
    whisper = passage.whisper
    passage.next_seek = round(max(passage.starts_at + _STEP, part["start"]) * whisper.frames_per_second)
    whole = around.content_frames * whisper.feature_extractor.time_per_frame
    if whole - part["end"] < around.threshold:
        passage.next_seek = around.content_frames
    del passage.parts[passage.parts.index(part) :]
