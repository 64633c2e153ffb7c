"""Who may wait and who may start: nobody revoked or unsigned, nobody finished; alone who has died before."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import ceil
from typing import Any

import redis
from celery.worker.state import revoked, task_ready

from protocol.errors import GaveUp, RequestError
from protocol.request import Request
from workers.outcome import Outcome
from workers.result_backend import BatchedBackend
from workers.run import Run, Work
from workers.transport.claims import LeaseLost, is_of_last_lane
from workers.transport.settlement import Settlement
from workers.transport.starting import May, Verdict
from workers.turns import turns_of
from workers.waiting import Waiting
from workers.writes import Writes, mark_acknowledged

log = logging.getLogger(__name__)

#: A request that takes its engine, or its worker, down this often while it runs alone is given up.
DEATHS_ALONE = 2

Settle = Callable[[Sequence[tuple[Any, Outcome]]], None]
Write = Callable[[Writes], None]


class Gate:
    """Stands between the batcher and the engine."""

    def __init__(
        self, backend: BatchedBackend, waiting: Waiting, worker: str, *, settle: Settle, write: Write
    ) -> None:
        self._backend = backend
        self._waiting = waiting
        self._worker = worker
        self._settle = settle
        self._write = write

    def drops(self, message: Any) -> bool:
        """End a request that was revoked or has expired; whether it was so."""
        return bool(self.dropped([message]))

    def demotes(self, message: Any, request: Request | RequestError, now: float) -> bool:
        """Move a request that has missed its deadline behind all others, unless it is there already."""
        claims, tag = self._backend.claims, message.delivery_tag
        if claims is None or isinstance(request, RequestError) or is_of_last_lane(tag):
            return False
        if request.deadline_at is None or now <= request.deadline_at:
            return False
        try:
            claims.demote(tag)
        except LeaseLost as lost:
            log.warning("%s", lost)
        mark_acknowledged(message.message)
        return True

    def bury(self, message: Any, why: str) -> None:
        """Put a message that must not run on the dead list."""
        log.warning("a message was put on the dead list: %s", why)
        if self._backend.claims is None:
            message.reject()
        else:
            self._backend.claims.bury_tag(message.delivery_tag)
            mark_acknowledged(message.message)
        if turns := turns_of(message):
            self._write(Writes(settlement=Settlement(turns=turns)))

    def admit(self, works: Sequence[Work]) -> list[Work]:
        """Those of a batch that run now; the others are dealt with here.

        Raises:
            redis.RedisError: Redis does not say who may run, so nobody does: they wait here again.
        """
        dropped = self.dropped([work.message for work in works])
        wanted = [work for work in works if work.message not in dropped]
        try:
            verdicts = self._backend.start([work.message for work in wanted], self._worker)
        except LeaseLost as lost:
            log.warning("%s", lost)
            return []
        except redis.RedisError:
            for work in wanted:
                self._waiting.add_back(work)
            raise
        judged = list(zip(wanted, verdicts, strict=True))
        self._keep_alone([work for work, verdict in judged if verdict.may is May.RUN_ALONE])
        return [work for work, verdict in judged if self._admits(work, verdict)]

    def dropped(self, messages: Sequence[Any]) -> list[Any]:
        """Those that were revoked or have expired. That is their result now, unless they had one before."""
        with self._backend.held_back() as writes:
            for message in messages:
                message.acknowledge_with(writes)
            dropped = [message for message in messages if message.revoked()]
        if dropped:
            for message in dropped:
                writes.end(message)
            self._write(writes)
        return dropped

    def engine_died_of(self, run: Run, how: str) -> None:
        """Each member runs again, alone, unless it has died alone too often already.

        Wherever it is claimed next, if the death is on record where other workers see it; else here.
        """
        deaths = self._count_deaths()
        for work in run.works:
            request_id = work.request.request_id
            alone = work.deaths_alone + (len(run.works) == 1)
            work.deaths_alone = alone if deaths is None else deaths.get(request_id, alone)
            if not self._gives_up(work, how):
                self._waiting.add_suspect(work)
        if deaths is not None:
            self.release()

    def release(self) -> None:
        """Return all that waits here to the queue, where a worker with an engine finds it.

        With kombu's own transport it waits here, as it does if Redis is away.
        """
        if self._put_back(self._waiting.works()):
            self._waiting.clear()

    def _keep_alone(self, works: Sequence[Work]) -> None:
        """Let those wait that must run alone, as many as are this worker's share; the others are anybody's.

        One after the other here, while neighbours idle, they would take as many times longer.
        """
        claims, own = self._backend.claims, len(works)
        if claims is not None and len(works) > 1:
            with suppress(redis.RedisError):
                own = ceil(len(works) / max(1, claims.count_living()))
        rest = works[own:]
        for work in works if rest and not self._put_back(rest) else works[:own]:
            self._waiting.add_suspect(work)

    def _put_back(self, works: Sequence[Work]) -> bool:
        """Return requests to the heads of their lanes; whether that was done."""
        claims = self._backend.claims
        messages = [message for work in works for message in (work.message, *work.superseded)]
        if claims is None or not messages:
            return False
        try:
            claims.put_back(*(message.delivery_tag for message in messages))
        except (redis.RedisError, LeaseLost) as error:
            log.warning("could not put %d requests back on the queue: %s", len(works), error)
            return False
        for message in messages:
            mark_acknowledged(message.message)
            task_ready(message)
        log.info("put %d requests back on the queue", len(works))
        return True

    def _admits(self, work: Work, verdict: Verdict) -> bool:
        if verdict.may is May.NOT_AGAIN:
            self._close(work.message)
        elif verdict.may is May.NOT_ANY_MORE:
            revoked.add(work.request.request_id)  # from here on Celery's own way: result, event, ack
            self.dropped([work.message])
        elif verdict.may is May.RUN:
            work.deaths_alone = max(work.deaths_alone, verdict.deaths_alone)
            return not self._gives_up(work, "its worker died")
        return False

    def _close(self, message: Any) -> None:
        """Acknowledge a second message of a request that has its result."""
        task_ready(message)
        writes = Writes()
        message.acknowledge_with(writes)
        message.acknowledge()
        writes.end(message)
        self._write(writes)

    def _count_deaths(self) -> Mapping[str, int] | None:
        """How often each has died alone; None if that could not be counted where other workers see it."""
        if self._backend.claims is None:
            return None
        try:
            return self._backend.claims.count_deaths()
        except (redis.RedisError, LeaseLost) as error:
            log.warning("could not count the deaths of a batch where other workers see them: %s", error)
            return None

    def _gives_up(self, work: Work, how: str) -> bool:
        if work.deaths_alone < DEATHS_ALONE:
            return False
        times = f"{work.deaths_alone} times, running alone"
        self._settle([(work.message, GaveUp(f"the request took its engine down {times}: {how}"))])
        return True
