"""`producer.client`, awaitable: the same names, the same errors, the same bytes on the wire.

Redis is awaited; only reading and converting audio, which is work for a processor and not a wait, goes
to a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self, Unpack

from producer.admission import all_accepted
from producer.aio_clock import AwaitedClock
from producer.aio_recording import AsyncRecordingTicket
from producer.aio_ticket import AsyncTicket, AsyncTicketGroup
from producer.audio import AudioLike
from producer.connection import connect_awaited, redis_errors
from producer.exchange import run_awaited, unless_cancelled
from producer.given import GivenForMany, GivenForOne, GivenOptions, GivenTerms
from producer.lookout import Lookout
from producer.offer import enqueue_awaited, offer_once_awaited
from producer.packing import Given
from producer.pending import DEFAULT_TIMEOUT, Progress, in_place
from producer.reading import MAX_IN_FLIGHT, Plan, Reading, Split
from producer.results import Outcome, depths, statuses
from producer.standing import Standing
from producer.submission import PAYLOAD_TTL, Envelope, chunks, seal, seal_all
from protocol.errors import ResultTimeout, TranscriptionError
from protocol.options import Options
from protocol.request import MAX_SECONDS, Encoding, Priority, check_request_id
from protocol.transcript import Status, Transcript


class AsyncClient:
    """The way in for coroutines: for one event loop, safe to share between its tasks."""

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        defaults: Options | None = None,
        payload_ttl: int = PAYLOAD_TTL,
        max_queued: int | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """Connects when first used; the arguments are those of `Client`."""
        self._connection = connect_awaited(redis_url)
        self._clock = AwaitedClock(self._read_clock)
        self._lookout = Lookout(self._connection)
        self._standing = Standing.of(defaults, payload_ttl, max_queued, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; whoever still awaits a result gets a `QueueUnreachable`."""
        await self._lookout.stop()
        await self._connection.aclose()

    async def submit(
        self,
        audio: Given,
        *,
        sample_rate: int | None = None,
        priority: str = Priority.NORMAL,
        request_id: str | None = None,
        deadline: float | None = None,
        expires: float | None = None,
        encoding: str = Encoding.PCM,
        conversation: str | None = None,
        tenant: str | None = None,
        metadata: Mapping[str, str] | None = None,
        **options: Unpack[GivenOptions],
    ) -> AsyncTicket:
        """Enqueue one audio segment; see `Client.submit`."""
        terms = self._standing.terms(
            options,
            sample_rate=sample_rate,
            priority=priority,
            deadline=deadline,
            expires=expires,
            encoding=encoding,
            conversation=conversation,
            tenant=tenant,
            metadata=metadata,
        )
        envelope = await asyncio.to_thread(seal, audio, request_id, terms, await self._clock.now())
        all_accepted(await offer_once_awaited(self._connection, [envelope], self._standing.max_queued))
        return self._ticket(envelope)

    async def submit_many(
        self,
        audios: Iterable[Given],
        *,
        request_ids: Sequence[str] | None = None,
        sample_rate: int | None = None,
        priority: str = Priority.NORMAL,
        deadline: float | None = None,
        expires: float | None = None,
        encoding: str = Encoding.PCM,
        conversation: str | None = None,
        tenant: str | None = None,
        metadata: Mapping[str, str] | None = None,
        **options: Unpack[GivenOptions],
    ) -> AsyncTicketGroup:
        """Enqueue many audio segments under the same options; see `Client.submit_many`."""
        terms = self._standing.terms(
            options,
            sample_rate=sample_rate,
            priority=priority,
            deadline=deadline,
            expires=expires,
            encoding=encoding,
            conversation=conversation,
            tenant=tenant,
            metadata=metadata,
        )
        tickets: list[AsyncTicket] = []
        for chunk in chunks(audios, request_ids):
            sealed = await asyncio.to_thread(seal_all, chunk, terms, await self._clock.now())
            all_accepted(await offer_once_awaited(self._connection, sealed, self._standing.max_queued))
            tickets += map(self._ticket, sealed)
        return AsyncTicketGroup(self._connection, self._standing, tickets)

    async def submit_recording(
        self,
        audio: AudioLike,
        *,
        request_id: str | None = None,
        split: Split = "vad",
        max_segment_seconds: float = MAX_SECONDS,
        max_in_flight: int = MAX_IN_FLIGHT,
        **given: Unpack[GivenTerms],
    ) -> AsyncRecordingTicket:
        """Begin with sound of any length; see `Client.submit_recording`."""
        plan = Plan(split=split, max_segment_seconds=max_segment_seconds, max_in_flight=max_in_flight)
        # Whatever is wrong with them is refused before anything is read.
        language = self._standing.terms(given).options.language
        rate = given.pop("sample_rate", None)
        reading = Reading(audio, plan=plan, request_id=request_id, sample_rate=rate, language=language)
        ticket = AsyncRecordingTicket(
            self, self._connection, self._standing, reading.request_id, reading, given
        )
        await ticket.begin()
        return ticket

    def get_recording(self, request_id: str) -> AsyncRecordingTicket:
        """The ticket of a recording that another process has begun; nothing to await but the ticket."""
        return AsyncRecordingTicket(self, self._connection, self._standing, check_request_id(request_id))

    async def transcribe(
        self, audio: Given, *, timeout: float | None = None, **given: Unpack[GivenForOne]
    ) -> Transcript:
        """Submit one audio segment and wait for its transcript; see `submit` and `AsyncTicket.result`."""
        ticket = await self.submit(audio, **given)
        return await ticket.result(timeout)

    async def transcribe_batch(
        self,
        audios: Iterable[Given],
        *,
        timeout: float | None = None,
        progress: Progress | None = None,
        **given: Unpack[GivenForMany],
    ) -> list[Outcome]:
        """Submit audio segments and wait for all, errors in place; see `Client.transcribe_batch`."""
        request_ids = given.pop("request_ids", None)
        terms = self._standing.terms(given)
        give_up_at = self._standing.give_up_at(timeout)
        entries: list[AsyncTicket | TranscriptionError] = []
        for chunk in chunks(audios, request_ids):
            now = await self._clock.now()
            sealed = await asyncio.to_thread(seal_all, chunk, terms, now, errors_in_place=True)
            offered = await enqueue_awaited(self._connection, sealed, self._standing.max_queued, give_up_at)
            entries += [self._ticket(one) if isinstance(one, Envelope) else one for one in offered]
        sent = [one for one in entries if isinstance(one, AsyncTicket)]
        group = AsyncTicketGroup(self._connection, self._standing, sent)
        ended: dict[str, Outcome] = {}
        try:
            async for ticket, outcome in group.as_completed(give_up_at - time.monotonic()):
                ended[ticket.request_id] = outcome
                if progress:
                    progress(len(entries) - len(group) + len(ended), len(entries))
        except ResultTimeout:
            pass  # in_place says so for each
        return in_place(entries, ended)

    def get(self, request_id: str) -> AsyncTicket:
        """The ticket of a request that anyone submitted; nothing to await, except the ticket itself."""
        return AsyncTicket(self._connection, self._lookout, self._standing, check_request_id(request_id))

    async def result(self, request_id: str, *, timeout: float | None = 0.0) -> Transcript:
        """The transcript of a request; see `AsyncTicket.result`."""
        return await self.get(request_id).result(timeout)

    async def status(self, request_id: str) -> Status:
        """Where a request is."""
        return await self.get(request_id).status()

    async def statuses(self, request_ids: Sequence[str]) -> list[Status]:
        """Where many requests are, in one round trip."""
        names = [check_request_id(name) for name in request_ids]
        return await run_awaited(self._connection, statuses(names))

    async def cancel(self, request_id: str) -> bool:
        """Cancel a request that still waits; True if it did. See `Client.cancel`."""
        return await self.get(request_id).cancel()

    async def queue_depth(self) -> dict[str, int]:
        """How many requests wait in Redis, by priority; those that a worker holds are not counted."""
        return await run_awaited(self._connection, depths())

    def _ticket(self, envelope: Envelope) -> AsyncTicket:
        return AsyncTicket(
            self._connection, self._lookout, self._standing, envelope.request_id, envelope.warnings
        )

    async def _read_clock(self) -> tuple[int, int]:
        with redis_errors():
            seconds, microseconds = await unless_cancelled(self._connection.time())
        return seconds, microseconds
