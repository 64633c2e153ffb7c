"""The result of a request: text, timed segments, and the receipt of how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protocol.formats import OutputFormat


class Status(StrEnum):
    """Where a request is."""

    QUEUED = "queued"
    BATCHED = "batched"
    """A worker has it, and waits for a batch to be worth its while or for the engine."""
    RUNNING = "running"
    """Its batch has started."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Its `expires` passed before its turn, or neither its result nor its audio is kept any more."""
    UNKNOWN = "unknown"
    """Nobody has heard of it: never submitted, or longer ago than ids are remembered."""


#: Where a request is that will have a result if all goes well.
ON_ITS_WAY = frozenset({Status.QUEUED, Status.BATCHED, Status.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A timed word, with faster-whisper's fields."""

    start: float
    """Seconds from the start of the audio segment."""
    end: float
    word: str = field(repr=False)
    """With the space before it and the punctuation around it: the words of a segment make up its text."""
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A timed stretch of text, with faster-whisper's fields."""

    id: int
    start: float
    """Seconds from the start of the audio segment."""
    end: float
    text: str = field(repr=False)
    tokens: tuple[int, ...] = field(default=(), repr=False)
    avg_logprob: float = 0.0
    compression_ratio: float = 0.0
    no_speech_prob: float = 0.0
    temperature: float = 0.0
    words: tuple[Word, ...] | None = field(default=None, repr=False)
    """None unless `word_timestamps` was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """The receipt: where a request spent its time. All lengths in seconds.

    That of a recording is made of those of its parts, as far as they have one: `producer/tally.py` says how.
    """

    queued: float
    """From submit until the request was bound to a batch."""
    prepared: float
    """Fetching and preparing the audio of the whole batch."""
    engine: float
    """The engine call of the whole batch."""
    total: float
    """From submit until the outcome reached the worker's parent."""
    batch_id: str
    batch_size: int
    batch_position: int
    batch_reason: str
    """Why the batch was closed; see `batching.batch.Reason`."""
    attempts: int
    worker: str
    predicted: float | None = None
    """The engine call, as the worker expected it when the batch was closed; None if it knew too little."""
    batch_wait: float | None = None
    """The part of `queued` in which its worker had it in hand; None if that was not told."""
    submitted_at: float | None = None
    """When that was which `queued` and `total` count from, in seconds since the epoch on Redis's clock."""
    parts: int | None = None
    """How many parts of a recording this is made of; None for a request, as are the next two."""
    batches: int | None = None
    """How many batches they were in."""
    workers: int | None = None
    """How many workers ran these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What was said in one audio segment."""

    request_id: str
    text: str = field(repr=False)
    language: str
    """Whisper's code; empty if none was named and `vad_filter` left nothing to detect it in."""
    language_probability: float
    duration: float
    """Length of the audio segment in seconds; 0 for a text."""
    segments: tuple[Segment, ...] = field(default=(), repr=False)
    no_speech: bool = False
    """True if the engine heard nobody speak; the text is then empty."""
    model: str = ""
    warnings: tuple[str, ...] = field(default=())
    timings: Timings | None = None
    turns_before: int = 0
    """How many turns of its conversation had left text for its prompt when it was heard."""
    metadata: Mapping[str, str] | None = field(default=None, hash=False)
    """The caller's own notes, as they were submitted with it."""
    data: Mapping[str, Any] | None = field(default=None, hash=False, repr=False)
    """Whatever else an engine of the operator's own has said of it, such as an embedding; None from ours."""
    audio: bytes | None = field(default=None, repr=False)
    """A sound file, if that is what such an engine has made of a text; None from ours."""

    @property
    def words(self) -> tuple[Word, ...] | None:
        """The words of all segments, in order; None where nobody asked for `word_timestamps`, or spoke."""
        if all(segment.words is None for segment in self.segments):
            return None
        return tuple(word for segment in self.segments for word in segment.words or ())

    def to(self, form: OutputFormat = "text", *, max_line_width: int = 42, max_line_count: int = 2) -> str:
        """The transcript written down, all of it as one string.

        ``"text"``; ``"json"``, all there is, receipt included; ``"verbose_json"``, OpenAI's fields;
        ``"srt"``, ``"vtt"`` and ``"tsv"``, made of the segments or, if there are none, of the text.

        Args:
            form: which of these.
            max_line_width: columns of a line of subtitles (srt, vtt), at least 2.
            max_line_count: lines of a subtitle, at least 1; a segment that has more becomes several.

        Raises:
            RequestError: there is no such format, or a limit is too small.
        """
        from protocol.formats import write  # which is built on this class

        return write(self, form, max_line_width=max_line_width, max_line_count=max_line_count)
