"""Gives the free engine its next batch, and hands back what became of it.

Everything here happens on the worker's event loop: messages come in from `workers.strategy`, reports
from the engine process, and the only thing waited for is the next of either, or a window's end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import redis
from celery.worker.state import task_ready
from kombu.asynchronous import Hub

from batching.batch import Batch
from batching.batcher import Batcher
from batching.item import Item
from batching.limits import Limits, SizeCap
from protocol.clock import SharedClock
from protocol.errors import GaveUp, RequestError
from protocol.request import Request
from protocol.routing import PRIORITY_NUMBERS, payload_key
from workers.engine.base import compatibility_key
from workers.engine_process import EngineLost, EngineProcess
from workers.run import Run, Work
from workers.settings import Batching, Settings
from workers.settle import BatchedBackend, Outcome, Writes, settle
from workers.transport.claims import LeaseLost

log = logging.getLogger(__name__)

#: A request that takes its engine down this often while it runs alone is given up.
DEATHS_ALONE = 2

#: Pause before results that Redis did not take are written again, in seconds.
WRITE_AGAIN_SECONDS = 0.5

#: Most requests with a countdown or ETA that a worker holds; the others wait in Redis for another.
MOST_DELAYED = 1_000


class Dispatcher:
    """The waiting work, the engine, and the one batch that runs."""

    def __init__(self, settings: Settings, backend: BatchedBackend, worker: str) -> None:
        self._settings = settings
        self._backend = backend
        self._worker = worker
        self._clock = SharedClock(backend.client.time)
        self._batcher = Batcher(limits_of(settings.batching))
        self._cap = SizeCap(self._batcher.limits.max_batch_size)
        self._waiting: dict[Hashable, Work] = {}
        self._item_ids = count()
        self._numbers = count(1)
        self._running: Run | None = None
        self._engine: EngineProcess | None = None
        self._hub: Hub | None = None
        self._unwritten: list[Writes] = []
        self._delayed: dict[int, Any] = {}
        self._fetch: Callable[[], None] = _nothing
        self._starts_soon = False
        self._window_alarm: Any = None
        self._budget_alarm: Any = None

    def use_loop(self, hub: Hub) -> None:
        """Use `hub` for timers from now on."""
        self._hub = hub

    def use_engine(self, engine: EngineProcess) -> None:
        """Give batches to `engine`, whose model is loaded."""
        self._engine = engine
        self._start_if_due()

    def use_fetch(self, fetch: Callable[[], None]) -> None:
        """Call `fetch` when the engine becomes free: it claims, and adds, up to `wanted` messages."""
        self._fetch = fetch

    def wanted(self) -> int:
        """How many more messages this worker could run right now: none while its engine is busy."""
        if self._engine is None or self._running is not None or self._unwritten:
            return 0
        if len(self._delayed) >= MOST_DELAYED:
            return 0
        return max(0, self._cap.size - len(self._batcher))

    @property
    def has_engine(self) -> bool:
        """Whether a loaded engine is there."""
        return self._engine is not None

    def add(self, message: Any, request: Request | RequestError) -> None:
        """Let a request wait for its batch; one that makes no sense is settled with its error at once."""
        self._delayed.pop(id(message), None)
        if isinstance(request, RequestError):
            self._settle([(message, request)])
        elif not self._takes_over(message):
            now = self._clock.now()
            item = Item(
                id=next(self._item_ids),
                key=compatibility_key(request.options),
                rank=PRIORITY_NUMBERS[request.priority],
                enqueued_at=min(now, request.submitted_at or now),
                cost=request.payload.seconds,
            )
            self._wait(Work(message=message, request=request, item=item))
            self._start_soon()

    def delay(self, message: Any) -> None:
        """A request waits for its time outside the batcher; `add` follows."""
        self._delayed[id(message)] = message

    def forget_delayed(self) -> list[Any]:
        """The messages of requests that wait for their time, which nobody waits for here any more."""
        delayed, self._delayed = self._delayed, {}
        return [request.message for request in delayed.values()]

    def forget_waiting(self) -> None:
        """Drop whatever has not started: the connection is gone, and the broker delivers it again."""
        self._waiting.clear()
        self._batcher.clear()

    def start_anew(self) -> None:
        """The lease was lost: what waits here, and what is due later, runs elsewhere now."""
        self.forget_waiting()
        self._delayed.clear()
        self._unwritten.clear()

    def forget_audio(self, request_id: str) -> None:
        """Remove the audio of a request that will never run."""
        self._backend.client.unlink(payload_key(request_id))

    def on_report(self, report: dict[str, Any]) -> None:
        """The engine has run its batch: give it the next, then settle this one while it works."""
        run = self._free_engine()
        if run is None:
            return
        outcomes = run.outcomes(report, ended_at=self._clock.now(), worker=self._worker)
        self._remember_memory(run, report["out_of_memory_at"])
        self._fetch()
        self._start_if_due()
        run.log(report, outcomes)
        superseded = [message for work in run.works for message in work.superseded]
        self._settle(outcomes, superseded, engine_seconds=report["engine"])

    def on_engine_lost(self, how: str) -> None:
        """The engine process is gone: its batch runs again, each member alone, and not for ever."""
        self._engine = None
        run = self._free_engine()
        log.error("%s%s", how, f" while it ran batch {run.number}" if run else "")
        for work in run.works if run else ():
            self._suspect(work, how, ran_alone=len(run.works) == 1 if run else False)

    def finish(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the running batch and settle it. Called at shutdown."""
        self.forget_waiting()
        engine, self._engine = self._engine, None
        if self._running is None or engine is None:
            return
        try:
            report = engine.receive(timeout)
        except EngineLost as lost:
            log.error("%s during shutdown; its batch goes back to the queue", lost)
            return
        if report is None:
            log.warning("batch %d did not end within %.0f s; it goes back", self._running.number, timeout)
        else:
            self.on_report(report)
        self._write_again()

    # What follows is how a batch starts …

    def _start_soon(self) -> None:
        """Start on the event loop's next turn, when all that has come in this one has been added."""
        if self._starts_soon or self._hub is None:
            return
        self._starts_soon = True
        self._hub.call_soon(self._start_if_due)

    def _start_if_due(self) -> None:
        self._starts_soon = False
        while self._engine is not None and self._running is None:
            batch = self._batcher.take(self._clock.now(), self._cap.size)
            if batch is None:
                self._wake_when_due()
                return
            self._start(self._engine, batch)

    def _start(self, engine: EngineProcess, batch: Batch) -> None:
        works = self._still_wanted([self._waiting.pop(item.id) for item in batch.items])
        if not works:
            return
        self._running = run = Run(number=next(self._numbers), batch=batch, works=tuple(works))
        self._budget_alarm = self._call_later(self._settings.batch_timeout, self._end_hanging, run)
        try:
            engine.send(run.order())
        except EngineLost as lost:
            self.on_engine_lost(str(lost))
            return
        run.accepted_by(engine.pid)

    def _still_wanted(self, works: Sequence[Work]) -> list[Work]:
        """Without those revoked, expired or finished meanwhile; marks the others as started."""
        wanted = []
        for work in works:
            if work.message.revoked():
                self.forget_audio(work.request.request_id)
            else:
                wanted.append(work)
        finished = self._mark_started([work.request.request_id for work in wanted])
        for work in wanted:
            if work.request.request_id in finished:
                task_ready(work.message)
                work.message.acknowledge()
                self.forget_audio(work.request.request_id)
        return [work for work in wanted if work.request.request_id not in finished]

    def _mark_started(self, request_ids: Sequence[str]) -> set[str]:
        try:
            return self._backend.started(request_ids, self._worker)
        except redis.RedisError as error:
            log.warning("could not mark %d requests as started: %s", len(request_ids), error)
            return set()

    def _wake_when_due(self) -> None:
        _cancel(self._window_alarm)
        wake_at = self._batcher.wake_at(self._cap.size)
        if wake_at is not None:
            self._window_alarm = self._call_later(max(0.0, wake_at - self._clock.now()), self._start_if_due)

    # … and how it ends.

    def _free_engine(self) -> Run | None:
        _cancel(self._budget_alarm)
        run, self._running = self._running, None
        return run

    def _end_hanging(self, run: Run) -> None:
        if self._running is run and self._engine is not None:
            log.error("batch %d is still running after %.0f s", run.number, self._settings.batch_timeout)
            self._engine.kill()

    def _suspect(self, work: Work, how: str, *, ran_alone: bool) -> None:
        work.deaths_alone += ran_alone
        if work.deaths_alone >= DEATHS_ALONE:
            times = f"{DEATHS_ALONE} times, running alone"
            self._settle([(work.message, GaveUp(f"the request took its engine down {times}: {how}"))])
            return
        work.item = replace(work.item, id=next(self._item_ids), alone=True)
        self._wait(work)

    def _remember_memory(self, run: Run, failed_size: int | None) -> None:
        if not self._settings.batching.dynamic_batching:
            return
        if failed_size is None:
            self._cap.ran_clean()
            return
        self._cap.shrink(failed_size)
        log.warning(
            "batch %d: out of memory at %d requests, batches hold %d from now on",
            run.number,
            failed_size,
            self._cap.size,
        )

    def _settle(
        self,
        outcomes: Sequence[tuple[Any, Outcome]],
        superseded: Sequence[Any] = (),
        *,
        engine_seconds: float = 0.0,
    ) -> None:
        self._write(settle(self._backend, outcomes, superseded, engine_seconds=engine_seconds))

    def _write(self, writes: Writes) -> None:
        """Write, and keep what a Redis that is away or full does not take."""
        try:
            self._backend.write(writes)
        except redis.RedisError as error:
            log.error("could not store %d results, trying again: %s", len(writes.results), error)
            self._unwritten.append(writes)
            self._call_later(WRITE_AGAIN_SECONDS, self._write_again)
        except LeaseLost as lost:
            log.warning("%s", lost)

    def _write_again(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        for writes in unwritten:
            self._write(writes)

    def _wait(self, work: Work) -> None:
        self._waiting[work.item.id] = work
        self._batcher.add(work.item)

    def _takes_over(self, message: Any) -> bool:
        """After a reconnect a request may come again: its work goes on under the new message."""
        running = self._running.works if self._running else ()
        for work in (*running, *self._waiting.values()):
            if work.message.id == message.id and work.message.message is not message.message:
                if work.message.message.delivery_tag != message.message.delivery_tag:
                    work.superseded.append(work.message)
                work.message = message
                return True
        return False

    def _call_later(self, delay: float, callback: Callable[..., None], *arguments: Any) -> Any:
        return self._hub.call_later(delay, callback, *arguments) if self._hub is not None else None


def limits_of(batching: Batching) -> Limits:
    """The batcher's limits for the operator's block; not enabled means one by one."""
    if not batching.enabled:
        return Limits(max_batch_size=1, min_batch_size=1, max_batch_wait=0.0)
    return Limits(
        max_batch_size=batching.max_batch_size,
        min_batch_size=batching.min_batch_size,
        max_batch_wait=batching.max_batch_wait,
    )


def _nothing() -> None:
    """What fetches when kombu's own transport delivers by itself."""


def _cancel(alarm: Any) -> None:
    if alarm is not None:
        alarm.cancel()
