"""Look for, wait for, or collect transcripts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import redis
from redis.client import PubSub

from producer.connection import redis_errors
from producer.results import is_final, outcome_of, read_metas, read_statuses
from protocol.errors import ResultTimeout, TranscriptionError
from protocol.routing import result_key
from protocol.transcript import Status, Transcript

#: How long a waiter waits if it does not say, in seconds.
DEFAULT_TIMEOUT = 600.0

#: A published result can be missed while a connection is remade; look again this often, in seconds.
LOOK_AGAIN = 1.0

#: Pause between two looks at many results, in seconds: grows while nothing comes.
PAUSE_MIN, PAUSE_MAX = 0.005, 0.1


class Ticket:
    """What a caller holds while a request is on its way; any process can make one from the id."""

    def __init__(self, connection: redis.Redis, request_id: str, warnings: Sequence[str] = ()) -> None:
        self._connection = connection
        self.request_id = request_id
        self.warnings = tuple(warnings)
        """What was done to the audio on its way in, such as normalising samples beyond full scale."""

    def __repr__(self) -> str:
        return f"Ticket({self.request_id!r})"

    @property
    def status(self) -> Status:
        """Where the request is. Raises `QueueUnreachable`."""
        return read_statuses(self._connection, [self.request_id])[0]

    def ready(self) -> bool:
        """Whether there is a result, good or bad."""
        return is_final(read_metas(self._connection, [self.request_id])[0])

    def result(self, timeout: float | None = None) -> Transcript:
        """The transcript, waiting up to `timeout` seconds for it (None: 600 s; 0: look once).

        Raises:
            ResultTimeout: no result yet; the request goes on.
            QueueUnreachable: Redis does not answer.
            TranscriptionError: the request failed; `code` says how.
        """
        timeout = DEFAULT_TIMEOUT if timeout is None else timeout
        outcome = self._look() or (self._wait(timeout) if timeout > 0 else None)
        if outcome is None:
            raise ResultTimeout(
                f"no result for request {self.request_id} within {timeout:g} s; it is {self.status}"
            )
        if isinstance(outcome, TranscriptionError):
            raise outcome
        return outcome

    def _look(self) -> Transcript | TranscriptionError | None:
        (meta,) = read_metas(self._connection, [self.request_id])
        return outcome_of(meta) if meta is not None and is_final(meta) else None

    def _wait(self, timeout: float) -> Transcript | TranscriptionError | None:
        give_up_at = time.monotonic() + timeout
        with (
            redis_errors(),
            PubSub(self._connection.connection_pool, ignore_subscribe_messages=True) as channel,
        ):
            channel.subscribe(result_key(self.request_id))
            while not (outcome := self._look()):
                left = give_up_at - time.monotonic()
                if left <= 0:
                    return None
                channel.get_message(timeout=min(left, LOOK_AGAIN))
        return outcome


class TicketGroup:
    """The tickets of requests that were submitted together, in order."""

    def __init__(self, connection: redis.Redis, tickets: Sequence[Ticket]) -> None:
        self._connection = connection
        self.tickets = tuple(tickets)

    def __len__(self) -> int:
        return len(self.tickets)

    def __iter__(self) -> Iterator[Ticket]:
        return iter(self.tickets)

    def as_completed(
        self, timeout: float | None = None
    ) -> Iterator[tuple[Ticket, Transcript | TranscriptionError]]:
        """Each ticket with its transcript or error, in the order in which they end.

        Raises:
            ResultTimeout: some had no result within `timeout` seconds.
        """
        give_up_at = time.monotonic() + (DEFAULT_TIMEOUT if timeout is None else timeout)
        waiting = {ticket.request_id: ticket for ticket in self.tickets}
        pause = PAUSE_MIN
        while waiting:
            metas = read_metas(self._connection, list(waiting))
            ended = [(name, meta) for name, meta in zip(list(waiting), metas, strict=True) if is_final(meta)]
            for request_id, meta in ended:
                yield waiting.pop(request_id), outcome_of(meta or {})
            if waiting and time.monotonic() > give_up_at:
                raise ResultTimeout(f"{len(waiting)} of {len(self.tickets)} requests have no result yet")
            pause = PAUSE_MIN if ended else min(2 * pause, PAUSE_MAX)
            if waiting:
                time.sleep(pause)

    def results(
        self, timeout: float | None = None, *, return_exceptions: bool = False
    ) -> list[Transcript | TranscriptionError]:
        """All transcripts in the order of submission.

        The first error is raised, unless `return_exceptions` puts errors in the place of transcripts.
        """
        outcomes = {ticket.request_id: outcome for ticket, outcome in self.as_completed(timeout)}
        ordered = [outcomes[ticket.request_id] for ticket in self.tickets]
        for outcome in ordered:
            if isinstance(outcome, TranscriptionError) and not return_exceptions:
                raise outcome
        return ordered
