"""Look for, wait for, cancel, or collect transcripts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Literal, overload

import redis

from producer.connection import redis_errors
from producer.exchange import run
from producer.pending import Pending, Progress, all_well, in_order, no_result
from producer.results import Outcome, cancellation, endings, outcomes, receipts, statuses, told, withdrawal
from producer.standing import Standing
from producer.subscription import Listeners
from protocol.errors import TranscriptionError
from protocol.routing import result_key
from protocol.transcript import Status, Timings, Transcript

#: A published result can be missed while a connection is remade; look again this often, in seconds.
LOOK_AGAIN = 1.0


class Ticket:
    """What a caller holds while a request is on its way; any process can make one from the id."""

    def __init__(
        self,
        connection: redis.Redis,
        standing: Standing,
        request_id: str,
        warnings: Sequence[str] = (),
        *,
        listeners: Listeners,
    ) -> None:
        self._connection = connection
        self._listeners = listeners
        self._standing = standing
        self.request_id = request_id
        self.warnings = tuple(warnings)
        """What was done to the audio on its way in, such as normalising samples beyond full scale."""

    def __repr__(self) -> str:
        return f"Ticket({self.request_id!r})"

    @property
    def status(self) -> Status:
        """Where the request is. Raises `QueueUnreachable`."""
        return run(self._connection, statuses([self.request_id]))[0]

    @property
    def timings(self) -> Timings | None:
        """The receipt of its transcript, looked at anew each time; None until there is one, or if it failed.

        Raises `QueueUnreachable`.
        """
        return run(self._connection, receipts([self.request_id]))[0]

    def ready(self) -> bool:
        """Whether `result` has something to say: a result, good or bad, or that nothing is kept of it."""
        return run(self._connection, endings([self.request_id]))[0] is not None

    def result(self, timeout: float | None = None) -> Transcript:
        """The transcript, waiting up to `timeout` seconds for it (None: the client's; 0: look once).

        Raises:
            ResultTimeout: no result yet; the request goes on.
            RequestError: neither result nor audio is kept any more (`RESULT_EXPIRED`); or nobody has heard
                of it until the end of the wait (`UNKNOWN_ID`), since somebody may be about to submit it.
            QueueUnreachable: Redis does not answer.
            TranscriptionError: the request failed; `code` says how.
        """
        timeout = self._standing.seconds(timeout)
        outcome = run(self._connection, outcomes([self.request_id]))[0]
        if outcome is None and timeout > 0:
            outcome = self._wait(timeout)
        if outcome is None:
            raise no_result(self.request_id, self.status, timeout)
        if isinstance(outcome, TranscriptionError):
            raise outcome
        return outcome

    def cancel(self) -> bool:
        """Cancel the request if it still waits; see `Client.cancel`."""
        waited = run(self._connection, cancellation(self.request_id, self._standing.payload_ttl))
        if not waited:
            run(self._connection, withdrawal(self.request_id))
        return waited

    def _wait(self, timeout: float) -> Outcome | None:
        give_up_at = time.monotonic() + timeout
        with redis_errors(), self._listeners.subscribed(result_key(self.request_id), timeout) as news:
            look = outcomes
            while (outcome := run(self._connection, look([self.request_id]))[0]) is None:
                left = give_up_at - time.monotonic()
                if left <= 0:
                    return None
                said = news.wait(min(left, LOOK_AGAIN))
                if said is not None and (outcome := told(self.request_id, said)) is not None:
                    return outcome
                look = endings  # silence may mean that nothing will ever come
        return outcome


class TicketGroup:
    """The tickets of requests that were submitted together, in order."""

    def __init__(self, connection: redis.Redis, standing: Standing, tickets: Sequence[Ticket]) -> None:
        self._connection = connection
        self._standing = standing
        self.tickets = tuple(tickets)

    def __repr__(self) -> str:
        return f"TicketGroup({len(self.tickets)} tickets)"

    def __len__(self) -> int:
        return len(self.tickets)

    def __iter__(self) -> Iterator[Ticket]:
        return iter(self.tickets)

    def as_completed(self, timeout: float | None = None) -> Iterator[tuple[Ticket, Outcome]]:
        """Each ticket with its transcript or error, in the order in which they end.

        Raises:
            ResultTimeout: some had no result within `timeout` seconds (None: the client's).
        """
        give_up_at = self._standing.give_up_at(timeout)
        pending = Pending(self.tickets)
        while pending:
            found = run(self._connection, pending.look())
            yield from pending.ended(found)
            if pending and time.monotonic() > give_up_at:
                raise pending.too_late()
            if pending:
                time.sleep(pending.pause)

    @overload
    def results(
        self,
        timeout: float | None = None,
        *,
        return_exceptions: Literal[False] = False,
        progress: Progress | None = None,
    ) -> list[Transcript]: ...
    @overload
    def results(
        self, timeout: float | None = None, *, return_exceptions: bool, progress: Progress | None = None
    ) -> list[Outcome]: ...
    def results(
        self,
        timeout: float | None = None,
        *,
        return_exceptions: bool = False,
        progress: Progress | None = None,
    ) -> Sequence[Outcome]:
        """All transcripts in the order of submission.

        The first error is raised, unless `return_exceptions` puts errors in the place of transcripts.
        `progress` is called for each that ends, with how many have and how many there are.
        """
        ended: dict[str, Outcome] = {}
        for ticket, outcome in self.as_completed(timeout):
            ended[ticket.request_id] = outcome
            if progress:
                progress(len(ended), len(self.tickets))
        ordered = in_order(self.tickets, ended)
        return ordered if return_exceptions else all_well(ordered)
