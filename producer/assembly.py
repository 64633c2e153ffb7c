"""The parts of a recording and how each ended → one transcript, its times those of the recording.

Pure: no clock, no queue. A part is an audio segment, one request, and where it is in the recording.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from producer.placing import placed
from producer.results import Outcome
from producer.tally import NOBODY_ASKED, Tally
from protocol.errors import TranscriptionError
from protocol.request import SAMPLE_RATE
from protocol.transcript import Segment, Timings, Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One audio segment of a recording."""

    request_id: str
    offset: int
    """Where it begins in the recording, in samples at 16 kHz."""
    n_samples: int
    lead: int = 0
    """How long it is until somebody speaks in it, in samples."""

    @property
    def start(self) -> float:
        """Where it begins, in seconds."""
        return self.offset / SAMPLE_RATE

    @property
    def end(self) -> float:
        """Where it ends, in seconds."""
        return (self.offset + self.n_samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A stretch of a recording without a transcript, and why."""

    start: float
    """Seconds from the start of the recording."""
    end: float | None
    """None if nobody knows: the rest of a file that cannot be read."""
    code: str
    message: str
    retryable: bool
    request_id: str | None = None
    """The part that failed; None if it never became one."""

    def __str__(self) -> str:
        until = "its end" if self.end is None else f"{self.end:.2f} s"
        return f"{self.start:.2f} s to {until}: {self.message} [{self.code}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingProgress:
    """How far a recording has come."""

    parts_ended: int
    parts: int
    """Those that are known; more come while the recording is still being read."""
    seconds_ended: float
    """Up to here, from the start, all parts have ended."""
    seconds_read: float
    """Up to here it has been read."""
    is_read: bool
    """Whether that is all of it."""


class Assembly:
    """Takes parts and outcomes as they come, gives segments in order."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.parts: list[Part] = []
        self.segments: list[Segment] = []
        """Those of the parts at the head, as far as all before them have ended; numbered from 1."""
        self._outcomes: dict[str, Outcome] = {}
        self._tally = Tally()
        self._head = 0

    @property
    def waiting(self) -> list[str]:
        """The request ids of the parts that have not ended."""
        return [part.request_id for part in self.parts[self._head :] if part.request_id not in self._outcomes]

    def add(self, part: Part) -> None:
        """The next part, in the order of the recording."""
        self.parts.append(part)

    def ended(self, request_id: str, outcome: Outcome) -> None:
        """How a part ended. Of its transcript is kept what `transcript` needs, and nothing twice."""
        if isinstance(outcome, Transcript) and outcome.timings is not None:
            self._tally.add(outcome.timings)
            outcome = replace(outcome, timings=None)
        self._outcomes[request_id] = outcome
        while self._head < len(self.parts) and self.parts[self._head].request_id in self._outcomes:
            self._take_segments(self.parts[self._head])
            self._head += 1

    def failures(self) -> tuple[Failure, ...]:
        """The parts that have failed so far, in order."""
        return tuple(
            failed(part, outcome)
            for part in self.parts
            if isinstance(outcome := self._outcomes.get(part.request_id), TranscriptionError)
        )

    def only_error(self) -> TranscriptionError | None:
        """The first error, if no part has a transcript."""
        errors = [one for one in self._outcomes.values() if isinstance(one, TranscriptionError)]
        return errors[0] if errors and len(errors) == len(self._outcomes) else None

    def progress(self, *, seconds_read: float, is_read: bool) -> RecordingProgress:
        """How far it is, where so much has been read."""
        return RecordingProgress(
            parts_ended=len(self._outcomes),
            parts=len(self.parts),
            seconds_ended=self.parts[self._head - 1].end if self._head else 0.0,
            seconds_read=seconds_read,
            is_read=is_read,
        )

    def transcript(
        self, *, duration: float, language: str | None, warnings: Sequence[str], failures: Sequence[Failure]
    ) -> Transcript:
        """All of it; `failures` are what is missing."""
        heard = self._heard()
        of_parts = [f"{part.start:.2f} s: {said}" for part, one in heard for said in one.warnings]
        spoken, probability = _language([one for _, one in heard], language)
        return Transcript(
            request_id=self.request_id,
            text=" ".join(one.text.strip() for _, one in heard if one.text.strip()),
            language=spoken,
            language_probability=probability,
            duration=duration,
            segments=tuple(self.segments),
            no_speech=not failures and all(one.no_speech for _, one in heard),
            model=heard[0][1].model if heard else "",
            warnings=(*warnings, *of_parts, *map(str, failures)),
            metadata=heard[0][1].metadata if heard else None,
            timings=self.timings(is_read=True),
        )

    def timings(self, *, is_read: bool) -> Timings | None:
        """The receipt of the parts that have ended; None before one has.

        `is_read` is whether all parts are known: a recording that has none has a receipt all the same.
        """
        return NOBODY_ASKED if is_read and not self.parts else self._tally.whole()

    def _heard(self) -> list[tuple[Part, Transcript]]:
        found = ((part, self._outcomes.get(part.request_id)) for part in self.parts)
        return [(part, outcome) for part, outcome in found if isinstance(outcome, Transcript)]

    def _take_segments(self, part: Part) -> None:
        outcome = self._outcomes[part.request_id]
        if isinstance(outcome, Transcript):
            self.segments += placed(outcome.segments, part, first=len(self.segments) + 1)
            self._outcomes[part.request_id] = replace(outcome, segments=())


def failed(part: Part, error: TranscriptionError) -> Failure:
    """What is missing because `part` failed."""
    return Failure(
        start=part.start,
        end=part.end,
        code=error.code,
        message=error.message,
        retryable=error.retryable,
        request_id=part.request_id,
    )


def _language(heard: Sequence[Transcript], wanted: str | None) -> tuple[str, float]:
    """The language of most of the sound, and how sure that is on the average of it."""
    seconds: defaultdict[str, float] = defaultdict(float)
    certain: defaultdict[str, float] = defaultdict(float)
    for one in heard:
        weight = 0.0 if one.no_speech else one.duration
        seconds[one.language] += weight
        certain[one.language] += weight * one.language_probability
    most = max(seconds, key=seconds.__getitem__, default=wanted or "")
    return most, certain[most] / seconds[most] if seconds[most] else 0.0
