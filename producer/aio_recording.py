"""`producer.recording`, awaitable: long sound as one request, for coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Mapping
from typing import TYPE_CHECKING, Any

import redis.asyncio

from producer.assembly import RecordingProgress
from producer.begun import Begun, Follow
from producer.exchange import run_awaited
from producer.reading import Reading
from producer.standing import Standing
from producer.steps import Cancel, Enqueue, Pause, Read, Result, Step, Steps
from protocol.errors import TranscriptionError
from protocol.transcript import Segment, Status, Transcript

if TYPE_CHECKING:
    from producer.aio import AsyncClient


class AsyncRecordingTicket(Begun):
    """What a coroutine holds while a recording is on its way; awaited by one task at a time.

    To await it is to await its transcript. It moves on while it is awaited, and only then; reading and
    cutting go to a thread.
    """

    def __init__(
        self,
        client: AsyncClient,
        connection: redis.asyncio.Redis,
        standing: Standing,
        request_id: str,
        reading: Reading | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(standing, request_id, reading, given)
        self._client = client
        self._connection = connection

    def __await__(self) -> Generator[Any, None, Transcript]:
        return self.result().__await__()

    async def status(self) -> Status:
        """Where the recording is. Raises `QueueUnreachable`."""
        return await self._take(self._course.status())

    async def begin(self) -> None:
        """Read up to the first part and enqueue it; see `RecordingTicket.begin`."""
        await self._take(self._course.more())

    async def enqueue_rest(self, timeout: float | None = None) -> None:
        """Read the recording to its end and enqueue all of it; see `RecordingTicket.enqueue_rest`."""
        patience = self._patience(timeout)
        while not self._course.is_read:
            await self._take(self._course.advance(patience))

    async def segments(self, timeout: float | None = None) -> AsyncIterator[Segment]:
        """The segments in order, each as soon as it is there; see `RecordingTicket.segments`."""
        patience = self._patience(timeout)
        told = 0
        while True:
            come = self._course.assembly.segments[told:]
            for segment in come:
                yield segment
            told += len(come)
            if not come and self._course.is_complete:
                return
            if not come:
                await self._take(self._course.advance(patience))

    async def result(self, timeout: float | None = None, *, progress: Follow | None = None) -> Transcript:
        """All of the transcript; see `RecordingTicket.result`."""
        patience = self._patience(timeout)
        told: RecordingProgress | None = None
        while True:
            if progress and told != self.progress:
                told = self.progress
                progress(told)
            if self._course.is_complete:
                return self._course.transcript()
            await self._take(self._course.advance(patience))

    async def cancel(self) -> bool:
        """Cancel all that waits of it; see `RecordingTicket.cancel`."""
        return await self._take(self._course.cancel())

    async def _take(self, steps: Steps[Result]) -> Result:
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._do(step)
                except TranscriptionError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as ended:
            result: Result = ended.value
            return result

    async def _do(self, step: Step) -> Any:
        match step:
            case Read(reading=reading):
                return await asyncio.to_thread(reading.due)
            case Enqueue(request_id=request_id, terms=terms, samples=samples):
                return await self._client.submit(samples, request_id=request_id, **{**self._given, **terms})
            case Cancel(request_id=request_id):
                return await self._client.cancel(request_id)
            case Pause(seconds=seconds):
                return await asyncio.sleep(seconds)
            case exchange:
                return await run_awaited(self._connection, exchange)
