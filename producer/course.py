"""A recording on its way: what to do next about it.

Does no I/O. Its methods are generators: they yield a step, somebody takes it and sends back the answer, or
throws the error. `RecordingTicket` takes the steps in its caller's thread, `AsyncRecordingTicket` awaits
them, and what happens in which order is written once, here.

Whoever waits for the recording moves it on. As long as it is being read, there are at most
`Reading.max_in_flight` parts that have not ended: the next is read when there is room for it.
"""

from __future__ import annotations

from collections.abc import Callable

from producer import manifest
from producer.assembly import Assembly, Failure, RecordingProgress
from producer.feed import Feed, cancelled
from producer.offer import has_room_later
from producer.patience import Patience
from producer.reading import Reading
from producer.results import outcomes, statuses
from producer.steps import Cancel, Pause, Steps
from protocol.errors import Cancelled, Overloaded, RequestError, ResultTimeout, TranscriptionError
from protocol.transcript import Status, Timings, Transcript

#: Time between two looks for results while parts are being enqueued, in seconds: a look costs a round trip, a
#: part some milliseconds of reading.
LOOK_EVERY = 0.05

#: Time between two looks for more parts of a recording that another process enqueues, in seconds.
LIST_EVERY = 0.25


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
        self._feed = None if reading is None else Feed(reading, self.assembly, clock, deadline=deadline)
        self._clock = clock
        self._end: manifest.End | None = None
        self._cancelled = False
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
        read = self._feed.reading.seconds if self._feed else parts[-1].end if parts else 0.0
        read = self._end.duration if self._end else read
        return self.assembly.progress(seconds_read=read, is_read=self.is_read)

    def timings(self) -> Timings | None:
        """The receipt of the parts that have ended, as far as is known here."""
        return self.assembly.timings(is_read=self.is_read)

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
            RequestError: nobody has begun it until then (`UNKNOWN_ID`).
        """
        if self._cancelled:
            raise cancelled()
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
        if self._feed is None:
            return (yield from self._list())
        if self._feed.is_full:
            return False
        try:
            self._end = yield from self._feed.enqueue()
        except Cancelled:
            self._cancelled = True
            raise
        except Overloaded as full:
            if not has_room_later(full):
                raise
            self._more_at = self._clock() + full.retry_after
            return False
        return True

    def cancel(self) -> Steps[bool]:
        """Cancel all parts that wait and enqueue no more; True if there was anything left to do."""
        if self._feed is None:
            yield from self._list(even_cancelled=True)
        was_complete = yield from self._ended()
        if was_complete:
            return False
        self._cancelled = yield manifest.cancellation(self.assembly.request_id)
        if self._feed is not None:
            self._feed.reading.close()
        for request_id in self.assembly.waiting:
            yield Cancel(request_id=request_id)
        return True

    def status(self) -> Steps[Status]:
        """Where it is: queued until a part of it has begun, running until all have ended."""
        if self._feed is None and self._end is None:
            yield from self._list(even_cancelled=True)
        complete = yield from self._ended()
        if self._cancelled:
            return Status.CANCELLED
        if complete:
            return Status.FAILED if self.assembly.only_error() else Status.COMPLETED
        parts = self.assembly.parts
        if not parts:
            return Status.UNKNOWN if self._feed is None else Status.QUEUED
        found: list[Status] = yield statuses([part.request_id for part in parts])
        if set(found) - {Status.QUEUED, Status.BATCHED}:
            return Status.RUNNING
        return Status.BATCHED if Status.BATCHED in found else Status.QUEUED

    def _list(self, *, even_cancelled: bool = False) -> Steps[bool]:
        self._more_at = self._clock() + LIST_EVERY
        known = len(self.assembly.parts)
        listed: manifest.Listed = yield manifest.listing(self.assembly.request_id)
        self._cancelled = listed.cancelled
        if listed.cancelled and not even_cancelled:
            raise cancelled()
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
                raise cancelled()
        return bool(ended)

    def _ended(self) -> Steps[bool]:
        """Look once; is it complete?"""
        try:
            yield from self._look()
        except Cancelled:
            return False
        return self.is_complete

    def _too_late(self) -> TranscriptionError:
        waiting, parts = len(self.assembly.waiting), len(self.assembly.parts)
        if not parts and not self.is_read and self._feed is None:
            return RequestError(f"nobody has heard of recording {self.assembly.request_id}", "UNKNOWN_ID")
        rest = "" if self.is_read else ", and it has not been enqueued to its end"
        return ResultTimeout(
            f"{waiting} of {parts} parts of recording {self.assembly.request_id} have no result yet{rest}"
        )
