"""When each word of a window is said: a second pass over the same encoder output.

CTranslate2's `align` takes one start sequence a call, so the windows of a call go in groups of one
language and task; in each pass the other rows are there with no text. Placing the words is
faster-whisper's own (`add_word_timestamps`, 1.2.1), window by window with that row's own past: what a
row was told of earlier speech stays with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faster_whisper import WhisperModel
from faster_whisper.utils import get_end

from protocol.options import Options
from workers.engine.passage import Passage

Alignment = list[dict[str, Any]]
"""The words of a window as `WhisperModel.find_alignment` gives them: seconds from the window's start."""

#: One position of the encoder, the least that CTranslate2 aligns anything with.
_NOT_ASKED_FRAMES = 2


def align(whisper: WhisperModel, encoded: Any, passages: Sequence[Passage | None]) -> list[Alignment]:
    """The alignment of each row's passage; none for a row that has no passage.

    Args:
        whisper: the model.
        encoded: its encoder output, a row for each passage.
        passages: what was heard in the window of each row.
    """
    found: list[Alignment] = [[] for _ in passages]
    for start in dict.fromkeys(_start(passage) for passage in passages if passage is not None):
        asked = [one if one is not None and _start(one) == start else None for one in passages]
        for nth, alignment in enumerate(_align_some(whisper, encoded, asked)):
            found[nth] = found[nth] or alignment
    return found


def place_words(passage: Passage, alignment: Alignment, options: Options, last_word_at: float) -> None:
    """Give each part of `passage` its words, and let these say when it starts, ends and is over.

    Args:
        passage: changed in place.
        alignment: of its text.
        options: which punctuation belongs to a word.
        last_word_at: when the last word of the row before this window ended, in seconds.
    """
    frames_per_second = passage.whisper.frames_per_second
    WhisperModel.add_word_timestamps(
        _Aligned(alignment=alignment, frames_per_second=frames_per_second),
        [passage.parts],
        passage.tokenizer,
        None,
        passage.frames,
        options.prepend_punctuations,
        options.append_punctuations,
        last_speech_timestamp=last_word_at,
    )
    ends_at = get_end(passage.parts)
    if not passage.is_last_word and ends_at is not None and ends_at > passage.starts_at:
        passage.next_seek = round(ends_at * frames_per_second)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Aligned:
    """What `add_word_timestamps` needs of a model once the alignment is known."""

    alignment: Alignment
    frames_per_second: float

    def find_alignment(self, *_asked: object) -> list[Alignment]:
        return [self.alignment]


def _start(passage: Passage) -> tuple[int, ...]:
    """The tokens that ask for a language and a task."""
    return tuple(passage.tokenizer.sot_sequence)


def _align_some(whisper: WhisperModel, encoded: Any, asked: Sequence[Passage | None]) -> list[Alignment]:
    """One pass; a row that is not asked about has no words in it."""
    tokenizer = next(passage.tokenizer for passage in asked if passage is not None)
    texts = [[] if passage is None else passage.text_tokens for passage in asked]
    frames = [_NOT_ASKED_FRAMES if passage is None else passage.frames for passage in asked]
    found: list[Alignment] = whisper.find_alignment(tokenizer, texts, encoded, frames)
    return found
