"""`producer.ticket`, awaitable: look for, wait for, cancel, or collect transcripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from typing import Any, Literal, overload

import redis.asyncio

from producer.exchange import run_awaited
from producer.lookout import Lookout
from producer.pending import Pending, Progress, all_well, in_order, no_result
from producer.results import Outcome, cancellation, endings, outcomes, receipts, statuses, withdrawal
from producer.standing import Standing
from protocol.errors import TranscriptionError
from protocol.transcript import Status, Timings, Transcript


class AsyncTicket:
    """What a coroutine holds while a request is on its way. To await it is to await its transcript."""

    def __init__(
        self,
        connection: redis.asyncio.Redis,
        lookout: Lookout,
        standing: Standing,
        request_id: str,
        warnings: Sequence[str] = (),
    ) -> None:
        self._connection = connection
        self._lookout = lookout
        self._standing = standing
        self.request_id = request_id
        self.warnings = tuple(warnings)
        """What was done to the audio on its way in, such as normalising samples beyond full scale."""

    def __repr__(self) -> str:
        return f"AsyncTicket({self.request_id!r})"

    def __await__(self) -> Generator[Any, None, Transcript]:
        return self.result().__await__()

    async def status(self) -> Status:
        """Where the request is. Raises `QueueUnreachable`."""
        return (await run_awaited(self._connection, statuses([self.request_id])))[0]

    async def timings(self) -> Timings | None:
        """The receipt of its transcript, if there is one; see `Ticket.timings`."""
        return (await run_awaited(self._connection, receipts([self.request_id])))[0]

    async def ready(self) -> bool:
        """Whether `result` has something to say; see `Ticket.ready`."""
        return (await run_awaited(self._connection, endings([self.request_id])))[0] is not None

    async def result(self, timeout: float | None = None) -> Transcript:
        """The transcript, in `timeout` seconds (None: the client's; 0: look once); see `Ticket.result`."""
        timeout = self._standing.seconds(timeout)
        if timeout > 0:
            outcome = await self._lookout.outcome(self.request_id, timeout)
        else:
            outcome = (await run_awaited(self._connection, outcomes([self.request_id])))[0]
        if outcome is None:
            raise no_result(self.request_id, await self.status(), timeout)
        if isinstance(outcome, TranscriptionError):
            raise outcome
        return outcome

    async def cancel(self) -> bool:
        """Cancel the request if it still waits; see `Client.cancel`."""
        waited = await run_awaited(
            self._connection, cancellation(self.request_id, self._standing.payload_ttl)
        )
        if not waited:
            await run_awaited(self._connection, withdrawal(self.request_id))
        return waited


class AsyncTicketGroup:
    """The tickets of requests that were submitted together, in order. Awaited, their transcripts."""

    def __init__(
        self, connection: redis.asyncio.Redis, standing: Standing, tickets: Sequence[AsyncTicket]
    ) -> None:
        self._connection = connection
        self._standing = standing
        self.tickets = tuple(tickets)

    def __repr__(self) -> str:
        return f"AsyncTicketGroup({len(self.tickets)} tickets)"

    def __len__(self) -> int:
        return len(self.tickets)

    def __iter__(self) -> Iterator[AsyncTicket]:
        return iter(self.tickets)

    def __await__(self) -> Generator[Any, None, list[Transcript]]:
        return self.results().__await__()

    async def as_completed(self, timeout: float | None = None) -> AsyncIterator[tuple[AsyncTicket, Outcome]]:
        """Each ticket with its transcript or error as they end; see `TicketGroup.as_completed`."""
        clock = asyncio.get_running_loop()
        give_up_at = clock.time() + self._standing.seconds(timeout)
        pending = Pending(self.tickets)
        while pending:
            found = await run_awaited(self._connection, pending.look())
            for ended in pending.ended(found):
                yield ended
            if pending and clock.time() > give_up_at:
                raise pending.too_late()
            if pending:
                await asyncio.sleep(pending.pause)

    @overload
    async def results(
        self,
        timeout: float | None = None,
        *,
        return_exceptions: Literal[False] = False,
        progress: Progress | None = None,
    ) -> list[Transcript]: ...
    @overload
    async def results(
        self, timeout: float | None = None, *, return_exceptions: bool, progress: Progress | None = None
    ) -> list[Outcome]: ...
    async def results(
        self,
        timeout: float | None = None,
        *,
        return_exceptions: bool = False,
        progress: Progress | None = None,
    ) -> Sequence[Outcome]:
        """All transcripts in the order of submission; see `TicketGroup.results`."""
        ended: dict[str, Outcome] = {}
        async for ticket, outcome in self.as_completed(timeout):
            ended[ticket.request_id] = outcome
            if progress:
                progress(len(ended), len(self.tickets))
        ordered = in_order(self.tickets, ended)
        return ordered if return_exceptions else all_well(ordered)
