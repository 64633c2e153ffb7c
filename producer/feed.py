"""The parts of a recording on their way to the queue, one by one.

A recording with a deadline is refused if its first part cannot start by then. Later parts that cannot are
late, as a request is that turns out so once it waits: they go after all that can still be in time.
"""

from __future__ import annotations

from collections.abc import Callable

from producer import manifest
from producer.assembly import Assembly, Part
from producer.exchange import Exchange
from producer.given import GivenTerms
from producer.offer import has_room_later
from producer.reading import NextPart, Reading
from producer.splitting import Samples
from producer.steps import Enqueue, Read, Steps
from protocol.errors import Cancelled, DeadlineExceeded, Overloaded, QueueUnreachable, TranscriptionError
from protocol.request import Priority

#: The terms of a part that is late: no deadline that it would be refused for, and the list to whose end a
#: worker puts whatever is late.
LATE: GivenTerms = {"deadline": None, "priority": Priority.BULK}


class Feed:
    """What is read of a recording, and enqueued under its id; what is, is told to `assembly`."""

    def __init__(
        self,
        reading: Reading,
        assembly: Assembly,
        clock: Callable[[], float],
        *,
        deadline: float | None = None,
    ) -> None:
        """The transcript is late `deadline` seconds from now."""
        self.reading = reading
        self._assembly = assembly
        self._clock = clock
        self._deadline_at = None if deadline is None else clock() + deadline

    @property
    def is_full(self) -> bool:
        """Whether as many parts wait or run as may."""
        return len(self._assembly.waiting) >= self.reading.max_in_flight

    def enqueue(self) -> Steps[manifest.End | None]:
        """Enqueue the part that is due; how the recording ends, if there is none any more.

        Raises:
            Cancelled: somebody has cancelled the recording.
            Overloaded: there is no room now, or never before the deadline for the first part.
        """
        reading = self.reading
        due: NextPart | None = yield Read(reading=reading)
        if due is None:
            end = reading.end()
            yield from _write(manifest.ending(reading.request_id, end))
            return end
        number, part, samples = due
        yield from _write(manifest.announcement(reading.request_id, number, part))
        try:
            yield from self._submit(number, part, samples)
        except TranscriptionError as error:
            if _may_pass(error):
                raise  # the part is still due: whoever tries again begins with it
            yield from self._refuse(number, part, error)
        else:
            self._assembly.add(part)
        reading.enqueued()
        return None

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
        yield from _write(manifest.announcement(self._assembly.request_id, number, part, error))
        self._assembly.add(part)
        self._assembly.ended(part.request_id, error)


def _write(exchange: Exchange[bool]) -> Steps[None]:
    is_cancelled = yield exchange
    if is_cancelled:
        raise cancelled()


def cancelled() -> Cancelled:
    """The error for whoever waits for a recording that somebody has cancelled."""
    return Cancelled("the recording was cancelled")


def _may_pass(error: TranscriptionError) -> bool:
    """Whether it says nothing about the part, which may be enqueued later."""
    return isinstance(error, QueueUnreachable) or (isinstance(error, Overloaded) and has_room_later(error))
