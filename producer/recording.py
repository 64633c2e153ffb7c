"""Long sound as one request: enqueue its parts as there is room, collect them as one transcript."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import redis

from producer.assembly import RecordingProgress
from producer.begun import Begun, Follow
from producer.exchange import run
from producer.reading import Reading
from producer.standing import Standing
from producer.steps import Cancel, Enqueue, Pause, Read, Result, Step, Steps
from protocol.errors import TranscriptionError
from protocol.transcript import Segment, Status, Transcript

if TYPE_CHECKING:
    from producer.client import Client


class RecordingTicket(Begun):
    """What a caller holds while a recording is on its way. Used by one thread at a time.

    Reading and enqueueing go on while somebody waits in `segments`, `result` or `enqueue_rest`, and only
    then: nothing happens behind the caller's back.
    """

    def __init__(
        self,
        client: Client,
        connection: redis.Redis,
        standing: Standing,
        request_id: str,
        reading: Reading | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(standing, request_id, reading, given)
        self._client = client
        self._connection = connection

    @property
    def status(self) -> Status:
        """Where the recording is. Raises `QueueUnreachable`."""
        return self._take(self._course.status())

    def begin(self) -> None:
        """Read up to the first part and enqueue it; raises what is wrong with the recording or options."""
        self._take(self._course.more())

    def enqueue_rest(self, timeout: float | None = None) -> None:
        """Read the recording to its end and enqueue all of it, so that any process can collect it.

        Never more than `max_in_flight` parts wait at a time, so this takes nearly as long as `result`.

        Raises:
            as `result` does.
        """
        patience = self._patience(timeout)
        while not self._course.is_read:
            self._take(self._course.advance(patience))

    def segments(self, timeout: float | None = None) -> Iterator[Segment]:
        """The segments from the first to the last, each as soon as all before it are there.

        Times count from the start of the recording. What has failed is left out; see `failures`.

        Raises:
            as `result` does.
        """
        patience = self._patience(timeout)
        told = 0
        while True:
            come = self._course.assembly.segments[told:]
            yield from come
            told += len(come)
            if not come and self._course.is_complete:
                return
            if not come:
                self._take(self._course.advance(patience))

    def result(self, timeout: float | None = None, *, progress: Follow | None = None) -> Transcript:
        """All of the transcript; what is missing of it is in `failures`, and in its warnings.

        `timeout` is in seconds for all of it; None goes on for as long as something comes every 600 s.

        Raises:
            ResultTimeout: it is not complete; what was enqueued goes on, and so does this if called again.
            RequestError: nobody has heard of it until the end of the wait (`UNKNOWN_ID`), since somebody may
                be about to begin it.
            Cancelled: somebody has cancelled it.
            QueueUnreachable: Redis does not answer; calling again goes on where it was.
            TranscriptionError: every part has failed; this is the first one's error.
        """
        patience = self._patience(timeout)
        told: RecordingProgress | None = None
        while True:
            if progress and told != self.progress:
                told = self.progress
                progress(told)
            if self._course.is_complete:
                return self._course.transcript()
            self._take(self._course.advance(patience))

    def cancel(self) -> bool:
        """Cancel all that waits of it; False if it had ended. What a worker has begun goes on unheard."""
        return self._take(self._course.cancel())

    def _take(self, steps: Steps[Result]) -> Result:
        """Take `steps` one after the other, each answer or error going back to where it was asked for."""
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._do(step)
                except TranscriptionError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as ended:
            result: Result = ended.value
            return result

    def _do(self, step: Step) -> Any:
        match step:
            case Read(reading=reading):
                return reading.due()
            case Enqueue(request_id=request_id, terms=terms, samples=samples):
                return self._client.submit(samples, request_id=request_id, **{**self._given, **terms})
            case Cancel(request_id=request_id):
                return self._client.cancel(request_id)
            case Pause(seconds=seconds):
                return time.sleep(seconds)
            case exchange:
                return run(self._connection, exchange)
