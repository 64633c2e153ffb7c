"""Gives the free engine its next batch, and hands back what became of it.

Everything here happens on the worker's event loop: messages come in from `workers.strategy`, reports
from the engine process, and the only thing waited for is the next of either, or a window's end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import redis
from celery.worker.state import revoked, task_ready
from kombu.asynchronous import Hub

from batching.batch import Batch
from protocol.clock import SharedClock
from protocol.errors import GaveUp, RequestError
from protocol.request import Request
from protocol.routing import payload_key
from workers.engine_process import EngineLost, EngineProcess
from workers.run import Run, Work
from workers.settings import Settings
from workers.settle import BatchedBackend, Outcome, settle
from workers.waiting import Waiting
from workers.writer import Writer

log = logging.getLogger(__name__)

#: A request that takes its engine down this often while it runs alone is given up.
DEATHS_ALONE = 2


class Dispatcher:
    """The waiting work, the engine, and the one batch that runs."""

    def __init__(self, settings: Settings, backend: BatchedBackend, worker: str) -> None:
        self._settings = settings
        self._backend = backend
        self._worker = worker
        self._clock = SharedClock(backend.client.time)
        self._waiting = Waiting(settings.batching)
        self._numbers = count(1)
        self._running: Run | None = None
        self._abandoned: Run | None = None
        self._engine: EngineProcess | None = None
        self._hub: Hub | None = None
        self._writer = Writer(backend, self._call_later)
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
        if self._engine is None or self._running is not None or self._writer.is_behind:
            return 0
        return self._waiting.room

    @property
    def has_engine(self) -> bool:
        """Whether a loaded engine is there."""
        return self._engine is not None

    def add(self, message: Any, request: Request | RequestError) -> None:
        """Let a request wait for its batch; one that makes no sense is settled with its error at once."""
        if isinstance(request, RequestError):
            self._settle([(message, request)])
        elif not self._takes_over(message):
            self._waiting.add(message, request, self._clock.now())
            self._start_soon()

    def delay(self, message: Any) -> None:
        """A request waits for its time; `is_due` and `add` follow when it has come."""
        self._waiting.delay(message)

    def is_due(self, message: Any) -> bool:
        """Whether a delayed request, whose time has come, still waits here and not in the queue again."""
        return self._waiting.is_due(message)

    def forget_delayed(self) -> list[Any]:
        """The messages of requests that wait for their time, which nobody waits for here any more."""
        return self._waiting.take_delayed()

    def forget_waiting(self) -> None:
        """Drop whatever has not started: the connection is gone, and the broker delivers it again."""
        self._waiting.clear()

    def start_anew(self) -> None:
        """The lease was lost: what waits or runs here, and what is due later, runs elsewhere now."""
        self._abandoned = self._running
        self._waiting.clear()
        self._waiting.take_delayed()
        self._writer.forget()

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
        if run is self._abandoned:
            log.warning("batch %d came too late: its requests run elsewhere", run.number)
            return
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
        self._writer.write_again()

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
            taken = self._waiting.take(self._clock.now())
            if taken is None:
                self._wake_when_due()
                return
            self._start(self._engine, *taken)

    def _start(self, engine: EngineProcess, batch: Batch, taken: Sequence[Work]) -> None:
        works = self._still_wanted(taken)
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
        """Without those revoked, cancelled, expired or finished meanwhile; marks the others as started."""
        wanted = []
        for work in works:
            if work.message.revoked():
                self.forget_audio(work.request.request_id)
            else:
                wanted.append(work)
        finished, cancelled = self._mark_started([work.request.request_id for work in wanted])
        for work in wanted:
            if work.request.request_id in finished:
                task_ready(work.message)
                work.message.acknowledge()
                self.forget_audio(work.request.request_id)
            elif work.request.request_id in cancelled:
                revoked.add(work.request.request_id)  # from here on Celery's own way: result, event, ack
                work.message.revoked()
                self.forget_audio(work.request.request_id)
        return [work for work in wanted if work.request.request_id not in finished | cancelled]

    def _mark_started(self, request_ids: Sequence[str]) -> tuple[set[str], set[str]]:
        try:
            return self._backend.started(request_ids, self._worker)
        except redis.RedisError as error:
            log.warning("could not mark %d requests as started: %s", len(request_ids), error)
            return set(), set()

    def _wake_when_due(self) -> None:
        _cancel(self._window_alarm)
        wake_at = self._waiting.wake_at()
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
        self._waiting.add_suspect(work)

    def _remember_memory(self, run: Run, failed_size: int | None) -> None:
        if not self._settings.batching.dynamic_batching:
            return
        if failed_size is None:
            self._waiting.cap.ran_clean()
            return
        self._waiting.cap.shrink(failed_size)
        log.warning(
            "batch %d: out of memory at %d requests, batches hold %d from now on",
            run.number,
            failed_size,
            self._waiting.cap.size,
        )

    def _settle(
        self,
        outcomes: Sequence[tuple[Any, Outcome]],
        superseded: Sequence[Any] = (),
        *,
        engine_seconds: float = 0.0,
    ) -> None:
        self._writer.write(settle(self._backend, outcomes, superseded, engine_seconds=engine_seconds))

    def _takes_over(self, message: Any) -> bool:
        """After a reconnect a request may come again: its work goes on under the new message."""
        run = self._running if self._running is not self._abandoned else None
        for work in (*(run.works if run else ()), *self._waiting.works()):
            if work.message.id == message.id and work.message.message is not message.message:
                if work.message.message.delivery_tag != message.message.delivery_tag:
                    work.superseded.append(work.message)
                work.message = message
                return True
        return False

    def _call_later(self, delay: float, callback: Callable[..., None], *arguments: Any) -> Any:
        return self._hub.call_later(delay, callback, *arguments) if self._hub is not None else None


def _nothing() -> None:
    """What fetches when kombu's own transport delivers by itself."""


def _cancel(alarm: Any) -> None:
    if alarm is not None:
        alarm.cancel()
