"""Gives the free engine its next batch, and hands back what became of it.

Everything here happens on the worker's event loop: messages come in from `workers.strategy`, reports
from the engine process, and the only thing waited for is the next of either, or a window's end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from kombu.asynchronous import Hub

from batching.batch import Batch
from protocol.clock import SharedClock
from protocol.errors import RequestError
from protocol.request import Request
from workers.engine_process import EngineProcess, ProcessLost
from workers.gate import Gate
from workers.pace import Pace
from workers.result_backend import BatchedBackend
from workers.run import Run, Work
from workers.settings import Settings
from workers.settle import settle
from workers.transport.channel import Wanted
from workers.waiting import Waiting
from workers.writer import Writer
from workers.writes import Outcome

log = logging.getLogger(__name__)


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
        self._numbers = count(1)
        self._running: Run | None = None
        self._abandoned: Run | None = None
        self._engine: EngineProcess | None = None
        self._hub: Hub | None = None
        self._writer = Writer(backend, self._call_later)
        self.gate = Gate(backend, self._waiting, worker, settle=self._settle, write=self._writer.write)
        self._pace = Pace()
        self._fetch: Callable[[], None] = _nothing
        self._starts_soon = False
        self._hurried = False
        self._window_alarm: Any = None
        self._budget_alarm: Any = None

    def use_loop(self, hub: Hub) -> None:
        """Use `hub` for timers from now on."""
        self._hub = hub

    def use_engine(self, engine: EngineProcess) -> None:
        """Give batches to `engine`, whose model is loaded."""
        self._engine = engine
        self.start_if_due()

    def use_fetch(self, fetch: Callable[[], None]) -> None:
        """Call `fetch` when the engine becomes free: it claims, and adds, up to `wanted` messages."""
        self._fetch = fetch

    def wanted(self) -> Wanted:
        """How many more messages this worker could run right now: none while its engine is busy."""
        if self._engine is None or self._running is not None or self._writer.is_behind:
            return Wanted()
        return Wanted(any=self._waiting.room, urgent=self._waiting.urgent_room)

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
        outcomes = run.outcomes(report, ended_at=self.clock.now(), worker=self._worker)
        self._pace.ran(len(outcomes), report["prepared"] + report["engine"])
        self._remember_memory(run, report["out_of_memory_at"])
        if run is not self._abandoned:
            self._hear_again(run, report)
        self._fetch()
        self.start_if_due()
        run.log(report, outcomes)
        if run is self._abandoned:
            log.warning("batch %d came too late: its requests run elsewhere", run.number)
            return
        writes = settle(self._backend, outcomes, run.superseded, engine_seconds=report["engine"])
        writes.settlement.others += run.suspicions
        writes.settlement.rate = self._pace.rate
        self._writer.write(writes)

    def on_engine_lost(self, how: str) -> None:
        """The engine process is gone: its batch runs again, each member alone, and not for ever."""
        self._engine = None
        run = self._free_engine()
        log.error("%s%s", how, f" while it ran batch {run.number}" if run else "")
        if run is not None and run is not self._abandoned:
            self.gate.engine_died_of(run, how)
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
        else:
            self.on_report(report)
        self._writer.write_again()

    def _await_report(self, engine: EngineProcess, timeout: float) -> dict[str, Any] | None:
        give_up_at = time.monotonic() + timeout
        while not self._hurried and (left := give_up_at - time.monotonic()) > 0:
            if report := engine.receive(min(left, HURRY_SECONDS)):
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
        while self._engine is not None and self._running is None:
            taken = self._waiting.take(self.clock.now())
            if taken is None:
                self._wake_when_due()
                return
            self._start(self._engine, *taken)

    def _start(self, engine: EngineProcess, batch: Batch, taken: Sequence[Work]) -> None:
        works = self.gate.admit(taken)
        if not works:
            return
        self._running = run = Run(number=next(self._numbers), batch=batch, works=tuple(works))
        self._budget_alarm = self._call_later(self._settings.batch_timeout, self._end_hanging, run.number)
        try:
            engine.send(run.order())
        except ProcessLost as lost:
            self.on_engine_lost(str(lost))
            return
        run.accepted_by(engine.pid)

    def _wake_when_due(self) -> None:
        _cancel(self._window_alarm)
        wake_at = self._waiting.wake_at()
        if wake_at is not None:
            self._window_alarm = self._call_later(max(0.0, wake_at - self.clock.now()), self.start_if_due)

    # … and how it ends.

    def _free_engine(self) -> Run | None:
        _cancel(self._budget_alarm)
        run, self._running = self._running, None
        return run

    def _end_hanging(self, number: int) -> None:
        """By its number: the timer remembers its arguments until its time, even if it is cancelled."""
        run, engine = self._running, self._engine
        if run is None or run.number != number or engine is None or engine.has_report():
            return
        log.error("batch %d is still running after %.0f s", number, self._settings.batch_timeout)
        engine.kill()

    def _hear_again(self, run: Run, report: dict[str, Any]) -> None:
        """Let those wait whose text was not good enough; the others of the batch are done."""
        for work in run.take_back(report):
            self._waiting.add_again(work)

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

    def _settle(self, outcomes: Sequence[tuple[Any, Outcome]]) -> None:
        """Settle requests that no engine has run."""
        self._writer.write(settle(self._backend, outcomes, engine_seconds=0.0))

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
