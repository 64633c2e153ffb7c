"""What was heard in one window, before it becomes segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

from protocol.transcript import Segment, Word
from workers.engine.attempt import Attempt


@dataclass(slots=True, kw_only=True)
class Passage:
    """The text of a window that stands, cut by its timestamps; words and further cuts may come to it."""

    whisper: WhisperModel
    tokenizer: Tokenizer
    attempt: Attempt
    temperature: float
    seek: int
    """Where the window begins, in frames."""
    frames: int
    """How many of them hold audio."""
    parts: list[dict[str, Any]]
    """faster-whisper's: ``start`` and ``end`` in seconds, ``tokens``, ``seek``, and ``words`` once placed."""
    next_seek: int
    """Where the next window begins."""
    is_last_word: bool
    """Whether the model said that nobody speaks after the last timestamp."""

    @classmethod
    def of(
        cls,
        attempt: Attempt,
        *,
        whisper: WhisperModel,
        tokenizer: Tokenizer,
        temperature: float,
        seek: int,
        frames: int,
    ) -> Passage:
        """Cut the text of a window where its timestamps say so, by faster-whisper's own rules."""
        seconds = whisper.feature_extractor.time_per_frame
        parts, next_seek, is_last_word = whisper._split_segments_by_timestamps(
            tokenizer=tokenizer,
            tokens=list(attempt.tokens),
            time_offset=seek * seconds,
            segment_size=frames,
            segment_duration=frames * seconds,
            seek=seek,
        )
        return cls(
            whisper=whisper,
            tokenizer=tokenizer,
            attempt=attempt,
            temperature=temperature,
            seek=seek,
            frames=frames,
            parts=parts,
            next_seek=int(next_seek),
            is_last_word=is_last_word,
        )

    @property
    def starts_at(self) -> float:
        """Where the window begins, in seconds."""
        return float(self.seek * self.whisper.feature_extractor.time_per_frame)

    @property
    def text_tokens(self) -> list[int]:
        """All of its tokens but timestamps."""
        return [token for part in self.parts for token in part["tokens"] if token < self.tokenizer.eot]

    def segments(self, first_id: int) -> list[Segment]:
        """The parts that say something and last; one without words or length is none."""
        found: list[Segment] = []
        for part in self.parts:
            text = self.tokenizer.decode(part["tokens"])
            if part["start"] != part["end"] and text.strip():
                found.append(self._segment(first_id + len(found), part, text))
        return found

    def _segment(self, number: int, part: dict[str, Any], text: str) -> Segment:
        return Segment(
            id=number,
            start=float(part["start"]),
            end=float(part["end"]),
            text=text,
            tokens=tuple(part["tokens"]),
            avg_logprob=self.attempt.avg_logprob,
            compression_ratio=self.attempt.compression_ratio,
            no_speech_prob=self.attempt.no_speech_prob,
            temperature=self.temperature,
            words=tuple(map(_word, part["words"])) if "words" in part else None,
        )


def _word(found: dict[str, Any]) -> Word:
    """Its times and probability come as NumPy's numbers, which JSON does not know."""
    return Word(
        start=float(found["start"]),
        end=float(found["end"]),
        word=found["word"],
        probability=float(found["probability"]),
    )
