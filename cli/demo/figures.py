"""What the demo found out: plain values, counted from the receipts of its requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from cli.demo.plan import Planned
from cli.demo.words import word_error_rate, word_errors
from protocol.errors import TranscriptionError
from protocol.transcript import Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is, at one moment."""

    total: int
    submitted: int
    waiting: int
    in_batch: int
    done: int
    seconds: float
    """Since the first submit."""
    audio_seconds: float
    """Of the requests that are done."""
    batch_sizes: tuple[int, ...]
    """Of the batches that have run, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RanBatch:
    """One batch, as the receipts of its members tell it; lengths in seconds."""

    batch_id: str
    size: int
    reason: str
    waited: float
    """The longest wait among its members, from submit until the batch was closed."""
    prepared: float
    engine: float
    audio_seconds: float

    def as_json(self) -> dict[str, Any]:
        """The batch, its lengths to the millisecond."""
        values = asdict(self).items()
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in values}


@dataclass(frozen=True, kw_only=True)
class Run:
    """All planned requests, once through a worker."""

    name: str
    plan: tuple[Planned, ...]
    outcomes: Mapping[str, Transcript | TranscriptionError]
    """By request id."""
    seconds: float
    """From the first submit to the last outcome."""

    @cached_property
    def transcripts(self) -> list[tuple[Planned, Transcript]]:
        """What succeeded, beside what was asked."""
        found = ((planned, self.outcomes[planned.request_id]) for planned in self.plan)
        return [(planned, outcome) for planned, outcome in found if isinstance(outcome, Transcript)]

    @property
    def texts(self) -> list[str | None]:
        """What was heard in each audio segment of the plan; None where there is no transcript."""
        outcomes = (self.outcomes[planned.request_id] for planned in self.plan)
        return [outcome.text if isinstance(outcome, Transcript) else None for outcome in outcomes]

    @cached_property
    def batches(self) -> list[RanBatch]:
        """The batches that ran, in order."""
        return batches_of([transcript for _, transcript in self.transcripts])

    @property
    def failed(self) -> int:
        """Requests without a transcript."""
        return len(self.plan) - len(self.transcripts)

    @property
    def audio_seconds(self) -> float:
        """Sound that was transcribed."""
        return sum(transcript.duration for _, transcript in self.transcripts)

    @property
    def audio_per_second(self) -> float:
        """Seconds of audio for each second of time."""
        return self.audio_seconds / self.seconds

    @property
    def requests_per_second(self) -> float:
        """Requests that succeeded for each second of time."""
        return len(self.transcripts) / self.seconds

    @property
    def mean_batch_size(self) -> float:
        """Requests per engine call."""
        return sum(batch.size for batch in self.batches) / max(1, len(self.batches))

    @property
    def word_error_rate(self) -> float:
        """Word errors per word said."""
        return word_error_rate((planned.said, transcript.text) for planned, transcript in self.transcripts)

    def as_json(self) -> dict[str, Any]:
        """The figures of this run."""
        return {
            "requests": len(self.plan),
            "failed": self.failed,
            "seconds": round(self.seconds, 3),
            "audio_seconds": round(self.audio_seconds, 3),
            "requests_per_second": round(self.requests_per_second, 3),
            "audio_seconds_per_second": round(self.audio_per_second, 3),
            "mean_batch_size": round(self.mean_batch_size, 3),
            "word_error_rate": round(self.word_error_rate, 4),
            "batches": [batch.as_json() for batch in self.batches],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Both runs of the demo, of the same audio segments on the same machine."""

    one_by_one: Run
    batched: Run
    producers: int
    cores: int
    redis: str
    """Where Redis came from."""

    @property
    def gain(self) -> float:
        """How many times as much audio per second the batched run did; 0.0 if nothing ran alone."""
        alone = self.one_by_one.audio_per_second
        return self.batched.audio_per_second / alone if alone else 0.0

    @property
    def same_text(self) -> int:
        """Audio segments whose text is, character for character, the same in a batch as alone."""
        pairs = zip(self.one_by_one.texts, self.batched.texts, strict=True)
        return sum(alone is not None and alone == together for alone, together in pairs)

    def as_json(self) -> dict[str, Any]:
        """All figures, as `segue demo --json` prints them."""
        return {
            "segments": len(self.batched.plan),
            "producers": self.producers,
            "cores": self.cores,
            "redis": self.redis,
            "gain": round(self.gain, 3),
            "same_text": self.same_text,
            "one_by_one": self.one_by_one.as_json(),
            "batched": self.batched.as_json(),
            "transcripts": [
                _transcript_as_json(planned, transcript) for planned, transcript in self.batched.transcripts
            ],
        }


def batches_of(transcripts: list[Transcript]) -> list[RanBatch]:
    """The batches in which `transcripts` were made, in the order in which they ran."""
    members: dict[str, list[Transcript]] = {}
    for transcript in transcripts:
        if transcript.timings is not None:
            members.setdefault(transcript.timings.batch_id, []).append(transcript)
    batches = [_batch_of(together) for together in members.values()]
    return sorted(batches, key=lambda batch: _number(batch.batch_id))


def _batch_of(members: list[Transcript]) -> RanBatch:
    receipts = [member.timings for member in members if member.timings is not None]
    first = receipts[0]
    return RanBatch(
        batch_id=first.batch_id,
        size=first.batch_size,
        reason=first.batch_reason,
        waited=max(receipt.queued for receipt in receipts),
        prepared=first.prepared,
        engine=first.engine,
        audio_seconds=sum(member.duration for member in members),
    )


def _number(batch_id: str) -> int:
    """Worker and running number make an id: ``segue@host/17``."""
    return int(batch_id.rpartition("/")[2])


def _transcript_as_json(planned: Planned, transcript: Transcript) -> dict[str, Any]:
    return {
        "request_id": planned.request_id,
        "language": planned.language,
        "priority": planned.priority,
        "said": planned.said,
        "heard": transcript.text,
        "word_errors": word_errors(planned.said, transcript.text),
    }
