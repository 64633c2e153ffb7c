"""Gives the free engine its next batch, and hands back what became of it.

Everything here happens on the worker's event loop: messages come in from `workers.strategy`, reports
from the engine process, and the only thing waited for is the next of either, or a window's end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import redis
from kombu.asynchronous import Hub

from batching.batch import Batch
from protocol.clock import SharedClock
from protocol.errors import EngineError, RequestError
from protocol.request import Request
from workers.ahead import Ahead
from workers.batch_events import BatchEvents
from workers.budget import Budget
from workers.choosing import Choosing
from workers.early import Early
from workers.engine_process import EngineProcess, ProcessLost
from workers.gate import Gate
from workers.later import cancel
from workers.learning import Learning
from workers.metrics import Metrics
from workers.outcome import Outcome
from workers.preferences import Preferences
from workers.reading import Reader
from workers.result_backend import BatchedBackend
from workers.run import Run, Work
from workers.settings import Settings
from workers.settle import settle
from workers.transport.claims import Share, Shown
from workers.transport.wanted import Wanted
from workers.trouble import Trouble
from workers.waiting import Waiting
from workers.writer import Writer

log = logging.getLogger(__name__)

#: Pause before Redis is asked again who of a batch may run, in seconds.
AGAIN_SECONDS = 0.2

#: How long a stopping worker waits before it looks whether it shall hurry, in seconds.
HURRY_SECONDS = 0.1


class Dispatcher:
    """The waiting work, the engine, and the one batch that runs."""

    def __init__(self, settings: Settings, backend: BatchedBackend, worker: str) -> None:
        self._settings = settings
        self._backend = backend
        self._worker = worker
        self.clock = SharedClock(backend.client.time)
        self._waiting = Waiting(settings.batching)
        self.metrics = Metrics()
        self.batches = BatchEvents(worker)
        self._learning = Learning(settings.batching, self._waiting, self.metrics)
        self._ahead = Ahead(
            settings.prepare_ahead * self._waiting.cap.size,
            look=self._look,
            read=Reader(settings.signing_keys(), Preferences(settings)),
            held=self._waiting.works,
            now=self.clock.now,
            call_later=self._call_later,
        )
        self._choosing = Choosing(self._ahead, self._waiting, self.clock.now)
        self._numbers = count(1)
        self._running: Run | None = None
        self._abandoned: Run | None = None
        self._engine: EngineProcess | None = None
        self._hub: Hub | None = None
        self._writer = Writer(backend, self._call_later)
        self.gate = Gate(backend, self._waiting, worker, settle=self._settle, write=self._writer.write)
        self._fetch: Callable[[], None] = _nothing
        self._starts_soon = False
        self._hurried = False
        self._window_alarm: Any = None
        self._early = Early(self._claim_early, self._call_later)
        self._holds = False
        self._pauses = False
        self._trouble = Trouble(log, "could not start a batch")
        self.budget = Budget(settings, self._call_later)

    def use_loop(self, hub: Hub) -> None:
        """Use `hub` for timers from now on."""
        self._hub = hub

    def use_engine(self, engine: EngineProcess) -> None:
        """Give batches to `engine`, whose model is loaded."""
        self._engine = engine
        self._ahead.new_engine()
        self._learning.engine_is_free(self.clock.now())
        self.start_if_due()

    def use_fetch(self, fetch: Callable[[], None]) -> None:
        """Call `fetch` when the engine becomes free: it claims, and adds, up to `wanted` messages."""
        self._fetch = fetch

    def wanted(self) -> Wanted:
        """How many more messages this worker could run right now: none while its engine is busy.

        But for the moment before it ends, when it takes what nobody else is free to run.
        """
        is_busy = self._running is not None
        if self._engine is None or (is_busy and not self._early.is_now) or self._writer.is_behind:
            return Wanted()
        share = Share(least=0 if is_busy else self._waiting.least, busy=self._learning.batch_seconds)
        room, urgent = self._waiting.room, self._waiting.urgent_room
        return Wanted(any=room, urgent=urgent, share=share, choose=self._choosing, is_early=is_busy)

    @property
    def has_engine(self) -> bool:
        """Whether a loaded engine is there."""
        return self._engine is not None

    def add(self, message: Any, request: Request | RequestError) -> None:
        """Let a request wait for its batch; one that makes no sense is settled with its error at once."""
        if isinstance(request, RequestError):
            self._settle([(message, request)])
        elif not self._takes_over(message):
            self._waiting.add(message, request, self.clock.now())
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

    def on_report(self, report: dict[str, Any]) -> None:
        """The engine has run its batch: give it the next, then settle this one while it works."""
        run = self._free_engine()
        if run is None:
            return
        now = self.clock.now()
        self._learning.ran(run, report)
        if run is not self._abandoned:
            self._hear_again(run, report)
        self._fetch()
        self.start_if_due()
        outcomes = run.outcomes(report, ended_at=now, worker=self._worker)
        self._end(run, report, outcomes)
        self._study(run, report, now)

    def on_engine_lost(self, how: str) -> None:
        """The engine process is gone: its batch runs again, each member alone, and not for ever.

        Unless it was loading a model for it, which no request of the batch can be blamed for. Until another
        engine is there all that waits belongs to whoever is free.
        """
        self._engine = None
        loading = self.budget.loading
        run = self._free_engine()
        log.error("%s%s", how, f" while it ran batch {run.number}" if run else "")
        if run is not None:
            self.batches.failed(run, how)
        if run is None or run is self._abandoned:
            self.gate.release()
        elif loading is None:
            self.gate.engine_died_of(run, how)
        else:
            self._end_without_model(run, loading, how)
            self.gate.release()
        self._start_soon()

    def hurry(self) -> None:
        """Whoever stops this worker will not wait for its batch. Called between any two instructions."""
        self._hurried = True

    def finish(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the running batch and settle it. Called at shutdown."""
        self.forget_waiting()
        engine, self._engine = self._engine, None
        if self._running is None or engine is None:
            return
        try:
            report = self._await_report(engine, timeout)
        except ProcessLost as lost:
            log.error("%s during shutdown; its batch goes back to the queue", lost)
            return
        if report is None:
            log.warning("batch %d did not end in time; it goes back", self._running.number)
            self.batches.failed(self._running, "it did not end before the worker had to")
        else:
            self.on_report(report)
        self._writer.write_again()

    def _await_report(self, engine: EngineProcess, timeout: float) -> dict[str, Any] | None:
        give_up_at = time.monotonic() + timeout
        while not self._hurried and (left := give_up_at - time.monotonic()) > 0:
            report = engine.receive(min(left, HURRY_SECONDS))
            if report is not None and "outcomes" in report:
                return report
        return None

    # What follows is how a batch starts …

    def _start_soon(self) -> None:
        """Start on the event loop's next turn, when all that has come in this one has been added."""
        if self._starts_soon or self._hub is None:
            return
        self._starts_soon = True
        self._hub.call_soon(self.start_if_due)

    def start_if_due(self) -> None:
        """Give the free engine its next batch, if one may start."""
        self._starts_soon = False
        while self._engine is not None and self._running is None and not self._pauses:
            taken = self._waiting.take(self.clock.now())
            if taken is None:
                self._holds = len(self._waiting) > 0
                self._wake_when_due()
                return
            self._start(self._engine, *taken)
            self._holds = False

    def _start(self, engine: EngineProcess, batch: Batch, taken: Sequence[Work]) -> None:
        try:
            works = self.gate.admit(taken)
        except redis.RedisError as error:
            self._trouble.met(error)
            self._pauses = True
            self._call_later(AGAIN_SECONDS, self._go_on)
            return
        self._trouble.over()
        if not works:
            return
        if len(works) < len(taken):
            batch = replace(batch, items=tuple(work.item for work in works))
            batch = replace(batch, predicted=self._waiting.predicted(batch))
        self._running = run = Run(
            number=next(self._numbers), batch=batch, works=tuple(works), was_held=self._holds
        )
        try:
            engine.send(run.order())
        except ProcessLost as lost:
            self.on_engine_lost(str(lost))
            return
        self.budget.begin(engine, run.number)
        run.accepted_by(engine.pid)
        self.batches.started(run)
        seconds = self._learning.expected(batch)
        self._ahead.begin(engine, seconds)
        if self._settings.prepare_ahead:
            self._early.begin(seconds)

    def _go_on(self) -> None:
        self._pauses = False
        self.start_if_due()

    def _claim_early(self, ahead: float) -> None:
        """The batch will end in `ahead` seconds: receive the next meanwhile, and choose its members."""
        self._fetch()
        self._waiting.plan(self.clock.now() + ahead)
        if self._engine is not None:
            self._ahead.tell_held(self._engine)

    def _look(self, count: int) -> Sequence[Shown]:
        """What waits on the lanes; with kombu's own transport that comes by itself, two batches of it."""
        if self._backend.claims is None:
            return ()
        return self._backend.claims.look(count, batch=self._waiting.cap.size)

    def _wake_when_due(self) -> None:
        cancel(self._window_alarm)
        wake_at = self._waiting.wake_at()
        if wake_at is not None:
            self._window_alarm = self._call_later(max(0.0, wake_at - self.clock.now()), self.start_if_due)

    # … and how it ends.

    def _free_engine(self) -> Run | None:
        self.budget.end()
        self._early.end()
        self._ahead.end()
        run, self._running = self._running, None
        return run

    def _end_without_model(self, run: Run, model: str, how: str) -> None:
        error = EngineError(f"model {model!r} could not be loaded: the {how}", "MODEL_UNAVAILABLE")
        parcels = settle(self._backend, run.failed(error), run.superseded, engine_seconds=0.0)
        parcels[-1].settlement.others += run.suspicions
        self._writer.write(*parcels)

    def _end(self, run: Run, report: dict[str, Any], outcomes: Sequence[tuple[Any, Outcome]]) -> None:
        run.log(report, outcomes)
        self.batches.ended(run, report, outcomes)
        if run is self._abandoned:
            log.warning("batch %d came too late: its requests run elsewhere", run.number)
            return
        parcels = settle(self._backend, outcomes, run.superseded, engine_seconds=report["engine"])
        parcels[-1].settlement.others += run.suspicions
        parcels[-1].settlement.rate = self._learning.rate
        self._writer.write(*parcels)

    def _hear_again(self, run: Run, report: dict[str, Any]) -> None:
        """Let those wait whose text was not good enough; the others of the batch are done."""
        for work in run.take_back(report):
            self._waiting.add_again(work)

    def _study(self, run: Run, report: dict[str, Any], now: float) -> None:
        """Learn what may be learnt while the engine works again. Both processes share the monotonic clock."""
        if report["began_at"] is not None:
            began_at = self.clock.now() - (time.monotonic() - report["began_at"])
            self._learning.study(run, report, began_at=began_at, now=now)
        self.metrics.holds(ready=len(self._waiting), running=len(self._running.works) if self._running else 0)

    def _settle(self, outcomes: Sequence[tuple[Any, Outcome]]) -> None:
        """Settle requests that no engine has run."""
        self._writer.write(*settle(self._backend, outcomes, engine_seconds=0.0))

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
