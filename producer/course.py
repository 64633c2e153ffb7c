"""A recording on its way: what to do next about it.

Does no I/O. Its methods are generators: they yield a step, somebody takes it and sends back the answer, or
throws the error. `RecordingTicket` takes the steps in its caller's thread, `AsyncRecordingTicket` awaits
them, and what happens in which order is written once, here.

Whoever waits for the recording moves it on. As long as it is being read, there are at most
`Reading.max_in_flight` parts that have not ended: the next is read when there is room for it.

A recording with a deadline is refused if its first part cannot start by then. Later parts that cannot are
late, as a request is that turns out so once it waits: they go after all that can still be in time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from producer import manifest
from producer.assembly import Assembly, Failure, Part, RecordingProgress
from producer.exchange import Exchange
from producer.given import GivenTerms
from producer.offer import has_room_later
from producer.patience import Patience
from producer.reading import NextPart, Reading
from producer.results import outcomes, statuses
from producer.splitting import Samples
from protocol.errors import (
    Cancelled,
    DeadlineExceeded,
    Overloaded,
    QueueUnreachable,
    ResultTimeout,
    TranscriptionError,
)
from protocol.request import Priority
from protocol.transcript import Status, Transcript

#: Time between two looks for results while parts are being enqueued, in seconds: a look costs a round trip, a
#: part some milliseconds of reading.
LOOK_EVERY = 0.05

#: Time between two looks for more parts of a recording that another process enqueues, in seconds.
LIST_EVERY = 0.25


#: The terms of a part that is late: no deadline that it would be refused for, and the list to whose end a
#: worker puts whatever is late.
LATE: GivenTerms = {"deadline": None, "priority": Priority.BULK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueue:
    """Submit this audio segment, under the terms of the recording and these, which have the last word."""

    request_id: str
    terms: GivenTerms
    samples: Samples = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Ask for its `due` part: work for a processor."""

    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Cancel this request."""

    request_id: str


Step: TypeAlias = Exchange[Any] | Enqueue | Read | Pause | Cancel
Result = TypeVar("Result")
Steps: TypeAlias = Generator[Step, Any, Result]


class Course:
    """One recording: `reading` if it is enqueued from here, None if another process has done so."""

    def __init__(
        self,
        request_id: str,
        reading: Reading | None,
        clock: Callable[[], float],
        *,
        deadline: float | None = None,
    ) -> None:
        """`clock` gives seconds and never goes back; the transcript is late `deadline` seconds from now."""
        self.assembly = Assembly(request_id)
        self._reading = reading
        self._clock = clock
        self._end: manifest.End | None = None
        self._cancelled = False
        self._deadline_at = None if deadline is None else clock() + deadline
        self._more_at = self._look_at = float("-inf")

    @property
    def is_complete(self) -> bool:
        """Whether all parts are known and have ended."""
        return self._end is not None and not self.assembly.waiting

    @property
    def is_read(self) -> bool:
        """Whether all parts are known."""
        return self._end is not None

    def progress(self) -> RecordingProgress:
        """How far it is, as far as is known here."""
        parts = self.assembly.parts
        read = self._reading.seconds if self._reading else parts[-1].end if parts else 0.0
        read = self._end.duration if self._end else read
        return self.assembly.progress(seconds_read=read, is_read=self.is_read)

    def failures(self) -> tuple[Failure, ...]:
        """What is missing, as far as is known here."""
        unread = self._end.unread if self._end else None
        return self.assembly.failures() + ((unread,) if unread else ())

    def transcript(self) -> Transcript:
        """All of it, once it is complete. Raises the first error if no part has a transcript."""
        error = self.assembly.only_error()
        if error is not None:
            raise error
        assert self._end is not None  # noqa: S101 - who asks has seen that it is complete
        return self.assembly.transcript(
            duration=self._end.duration,
            language=self._end.language,
            warnings=self._end.warnings,
            failures=self.failures(),
        )

    def advance(self, patience: Patience) -> Steps[None]:
        """One move: enqueue a part or learn of one, look for results, or pause.

        Raises:
            Cancelled: somebody has cancelled the recording.
            ResultTimeout: `patience` is over and it is not complete.
        """
        if self._cancelled:
            raise _cancelled()
        came = yield from self.more()
        if not came or self._clock() >= self._look_at:
            came |= yield from self._look()
        if came:
            patience.something_came(self._clock())
        if self.is_complete:
            return
        if patience.is_over(self._clock()):
            raise self._too_late()
        if not came:
            yield Pause(seconds=patience.pause(self._clock()))

    def more(self) -> Steps[bool]:
        """Enqueue the next part if there is room, or learn of those that another process has enqueued."""
        if self._end is not None or self._clock() < self._more_at:
            return False
        if self._reading is None:
            return (yield from self._list())
        if len(self.assembly.waiting) >= self._reading.max_in_flight:
            return False
        try:
            return (yield from self._enqueue(self._reading))
        except Overloaded as full:
            if not has_room_later(full):
                raise
            self._more_at = self._clock() + full.retry_after
            return False

    def cancel(self) -> Steps[bool]:
        """Cancel all parts that wait and enqueue no more; True if there was anything left to do."""
        if self._reading is None:
            yield from self._list(even_cancelled=True)
        was_complete = yield from self._ended()
        if was_complete:
            return False
        self._cancelled = yield manifest.cancellation(self.assembly.request_id)
        if self._reading is not None:
            self._reading.close()
        for request_id in self.assembly.waiting:
            yield Cancel(request_id=request_id)
        return True

    def status(self) -> Steps[Status]:
        """Where it is: queued until a part of it has begun, running until all have ended."""
        if self._reading is None and self._end is None:
            yield from self._list(even_cancelled=True)
        complete = yield from self._ended()
        if self._cancelled:
            return Status.CANCELLED
        if complete:
            return Status.FAILED if self.assembly.only_error() else Status.COMPLETED
        parts = self.assembly.parts
        if not parts:
            return Status.UNKNOWN if self._reading is None else Status.QUEUED
        found: list[Status] = yield statuses([part.request_id for part in parts])
        if set(found) - {Status.QUEUED, Status.BATCHED}:
            return Status.RUNNING
        return Status.BATCHED if Status.BATCHED in found else Status.QUEUED

    def _enqueue(self, reading: Reading) -> Steps[bool]:
        due: NextPart | None = yield Read(reading=reading)
        if due is None:
            end = reading.end()
            yield from self._write(manifest.ending(reading.request_id, end))
            self._end = end
            return True
        number, part, samples = due
        yield from self._write(manifest.announcement(reading.request_id, number, part))
        try:
            yield from self._submit(number, part, samples)
        except TranscriptionError as error:
            if _may_pass(error):
                raise  # the part is still due: whoever tries again begins with it
            yield from self._refuse(number, part, error)
        else:
            self.assembly.add(part)
        reading.enqueued()
        return True

    def _submit(self, number: int, part: Part, samples: Samples) -> Steps[None]:
        """Enqueue a part in time, or late if it is not the first one."""
        if self._deadline_at is None:
            yield Enqueue(request_id=part.request_id, terms={}, samples=samples)
            return
        left = self._deadline_at - self._clock()
        try:
            if left <= 0:
                raise DeadlineExceeded("the deadline of the recording has passed", "DEADLINE_EXCEEDED")
            yield Enqueue(request_id=part.request_id, terms={"deadline": left}, samples=samples)
        except (DeadlineExceeded, Overloaded) as error:
            if number == 1 or _may_pass(error):
                raise
            yield Enqueue(request_id=part.request_id, terms=LATE, samples=samples)

    def _refuse(self, number: int, part: Part, error: TranscriptionError) -> Steps[None]:
        """What cannot be enqueued is missing; but if it is the first part, so is what the caller asks."""
        if number == 1:
            raise error
        yield from self._write(manifest.announcement(self.assembly.request_id, number, part, error))
        self.assembly.add(part)
        self.assembly.ended(part.request_id, error)

    def _write(self, exchange: Exchange[bool]) -> Steps[None]:
        self._cancelled = yield exchange
        if self._cancelled:
            raise _cancelled()

    def _list(self, *, even_cancelled: bool = False) -> Steps[bool]:
        self._more_at = self._clock() + LIST_EVERY
        known = len(self.assembly.parts)
        listed: manifest.Listed = yield manifest.listing(self.assembly.request_id)
        self._cancelled = listed.cancelled
        if listed.cancelled and not even_cancelled:
            raise _cancelled()
        for part in listed.parts[known:]:
            self.assembly.add(part)
            if part.request_id in listed.refused:
                self.assembly.ended(part.request_id, listed.refused[part.request_id])
        self._end = listed.end
        return len(self.assembly.parts) > known or listed.end is not None

    def _look(self) -> Steps[bool]:
        """Ask for the results of all parts that have none; did any come?"""
        self._look_at = self._clock() + LOOK_EVERY
        waiting = self.assembly.waiting
        if not waiting:
            return False
        found = yield outcomes(waiting)
        ended = [(name, one) for name, one in zip(waiting, found, strict=True) if one is not None]
        for request_id, outcome in ended:
            self.assembly.ended(request_id, outcome)
        if any(isinstance(outcome, Cancelled) for _, outcome in ended):
            listed: manifest.Listed = yield manifest.listing(self.assembly.request_id)
            self._cancelled = listed.cancelled
            if listed.cancelled:
                raise _cancelled()
        return bool(ended)

    def _ended(self) -> Steps[bool]:
        """Look once; is it complete?"""
        try:
            yield from self._look()
        except Cancelled:
            return False
        return self.is_complete

    def _too_late(self) -> ResultTimeout:
        waiting, parts = len(self.assembly.waiting), len(self.assembly.parts)
        if not parts and self._reading is None:
            return ResultTimeout(f"nothing is known of a recording {self.assembly.request_id} yet")
        rest = "" if self.is_read else ", and it has not been enqueued to its end"
        return ResultTimeout(
            f"{waiting} of {parts} parts of recording {self.assembly.request_id} have no result yet{rest}"
        )


def _may_pass(error: TranscriptionError) -> bool:
    """Whether it says nothing about the part, which may be enqueued later."""
    return isinstance(error, QueueUnreachable) or (isinstance(error, Overloaded) and has_room_later(error))


def _cancelled() -> Cancelled:
    return Cancelled("the recording was cancelled")
