"""The result of a request: text, timed segments, and the receipt of how it was made."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """Where a request is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    """Neither waiting nor finished: never submitted, or so long ago that its result has expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A timed stretch of text, with faster-whisper's fields."""

    id: int
    start: float
    """Seconds from the start of the audio segment."""
    end: float
    text: str
    tokens: tuple[int, ...] = ()
    avg_logprob: float = 0.0
    compression_ratio: float = 0.0
    no_speech_prob: float = 0.0
    temperature: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """The receipt: where a request spent its time. All lengths in seconds."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What was said in one audio segment."""

    request_id: str
    text: str
    language: str
    language_probability: float
    duration: float
    """Length of the audio segment in seconds."""
    segments: tuple[Segment, ...] = ()
    no_speech: bool = False
    """True if the engine heard nobody speak; the text is then empty."""
    model: str = ""
    warnings: tuple[str, ...] = field(default=())
    timings: Timings | None = None
