"""celery-batches with its own `Batches` and kombu's timer, in virtual time.

``python -m bench.simulation.theirs.flushing``. Celery's consumer and pool are stood in for: messages come
when they are told to, and what is flushed runs on one engine, in order.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from importlib import reload
from types import SimpleNamespace
from typing import Any

import celery_batches  # type: ignore[import-not-found]
from celery import Celery
from kombu.asynchronous import timer as kombu_timer
from kombu.message import Message

from bench.simulation.theirs.virtual_time import LATE, Record, Told, tell, told


class Clock:
    """Simulated seconds."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds since the beginning."""
        return self.now


class Pool:
    """One engine, and what was flushed to it."""

    def __init__(self, asked: Told, clock: Clock, record: Record) -> None:
        self._asked, self._clock, self._record = asked, clock, record
        self._flushed: deque[Sequence[int]] = deque()
        self._running: Sequence[int] = ()
        self.ends_at = float("inf")

    def apply_async(self, _target: object, args: Sequence[Any], **_: object) -> None:
        """What `Batches.flush` calls."""
        (requests,) = args[1]
        self._flushed.append([request.args[0] for request in requests])
        if not self._running:
            self._start()

    def end(self) -> None:
        """The batch has run."""
        self._record.ran(self._running, self._clock.now)
        self._running, self.ends_at = (), float("inf")
        if self._flushed:
            self._start()

    def _start(self) -> None:
        self._running = self._flushed.popleft()
        self.ends_at = self._clock.now + self._asked.seconds(len(self._running))


def serve(asked: Told) -> Record:
    """Deliver every message at its time."""
    clock, record = Clock(), Record(asked)
    time.monotonic = clock
    timer = reload(kombu_timer).Timer()  # it binds the clock when it is loaded
    pool = Pool(asked, clock, record)
    deliver = _strategy(asked, timer, pool)
    to_come = deque(enumerate(asked.enqueued_at))
    while to_come or pool.ends_at < float("inf") or timer.queue:
        arrives_at = to_come[0][1] if to_come else float("inf")
        ticks_at = min((entry.eta for entry in timer.queue), default=float("inf"))
        clock.now = max(clock.now, min(arrives_at, ticks_at + LATE, pool.ends_at))
        if clock.now >= pool.ends_at:
            pool.end()
        elif clock.now >= ticks_at:
            _, entry = next(iter(timer))
            if entry is not None:
                timer.apply_entry(entry)
        else:
            deliver(to_come.popleft()[0])
    return record


def _strategy(asked: Told, timer: object, pool: Pool) -> Callable[[int], None]:
    """Its message handler, given the number of an item."""
    app = Celery("flushing", set_as_current=False)
    app.config_from_object({"task_ignore_result": True})

    @app.task(  # type: ignore[untyped-decorator]
        base=celery_batches.Batches, flush_every=asked.largest, flush_interval=asked.window, name="flushing"
    )
    def task(_: object) -> None:
        """Never called: the pool is stood in for."""

    consumer = SimpleNamespace(
        pool=pool, hostname="flushing", connection_errors=(), event_dispatcher=None, timer=timer
    )
    handler = task.Strategy(task, app, consumer)

    def deliver(number: int) -> None:
        sent = app.amqp.as_task_v2(f"item-{number}", "flushing", args=(number,))
        message = Message(
            body=json.dumps(sent.body),
            content_type="application/json",
            content_encoding="utf-8",
            headers=sent.headers,
            properties=sent.properties,
            delivery_info={},
        )
        handler(message, None, _nothing, _nothing, ())

    return deliver


def _nothing(*_: object) -> None:
    """There is no broker to tell."""


if __name__ == "__main__":
    tell(serve(told()))
