"""An idle worker: how soon it answers a lone request, and what waiting costs it.

This worker with a no-op engine and no window, against stock Celery with one process beside its parent,
as ours has. Both run all the time and are asked in turns, so that both meet the same noise.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import AUDIO, message_kwargs, ours, running, stock, stock_sender
from bench.processes import cpu_seconds
from bench.stock import TASK_NAME
from producer import Client

#: What the ratios, and the percentage of a core of ours, may be at most.
AIMS = {"p50_of_stock": 1.0, "p99_of_stock": 1.2, "idle_percent": 2.0}

#: Round trips that are not counted, with each: connections and scripts are there afterwards.
WARM_UP = 20

#: How long a round trip may take, in seconds; the first waits for the worker to start.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """How soon one of them answers and what it costs idle."""

    p50_milliseconds: float
    p99_milliseconds: float
    idle_percent: float
    """Of one core, all of the worker's processes, while nothing is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Both of them, in one run."""

    round_trips: int
    idle_seconds: float
    ours: Answers
    stock: Answers

    @property
    def ratios(self) -> dict[str, float]:
        """Our round trip as a multiple of stock Celery's."""
        return {
            "p50_of_stock": self.ours.p50_milliseconds / self.stock.p50_milliseconds,
            "p99_of_stock": self.ours.p99_milliseconds / self.stock.p99_milliseconds,
        }

    @property
    def missed(self) -> list[str]:
        """Which of the aims were not reached."""
        found = {**self.ratios, "idle_percent": self.ours.idle_percent}
        return [name for name, most in AIMS.items() if found[name] > most]


def measure(redis_url: str, folder: Path, *, round_trips: int = 300, idle_seconds: float = 20.0) -> Idle:
    """Ask both in turns, then leave both alone.

    Raises:
        ResultTimeout, celery.exceptions.TimeoutError: one of them does not answer.
    """
    with ExitStack() as stack:
        start = [running(ours(MIN_BATCH_SIZE=1, MAX_BATCH_WAIT_MS=0), redis_url, folder / "ours.log")]
        start.append(running(stock(pool="prefork", prefetch=1), redis_url, folder / "stock.log"))
        pids = [stack.enter_context(worker).pid for worker in start]
        client = stack.enter_context(Client(redis_url))
        sender = stack.enter_context(stock_sender(redis_url))
        kwargs = message_kwargs()
        lengths = in_turns(
            lambda: client.submit(AUDIO, language="en").result(PATIENCE_SECONDS),
            lambda: sender.send_task(TASK_NAME, kwargs=kwargs).get(PATIENCE_SECONDS),
            round_trips,
        )
        idle = _idle(pids, idle_seconds)
    both = [answers(each, percent) for each, percent in zip(lengths, idle, strict=True)]
    return Idle(round_trips=round_trips, idle_seconds=idle_seconds, ours=both[0], stock=both[1])


def in_turns(
    one: Callable[[], object],
    other: Callable[[], object],
    times: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[list[float], list[float]]:
    """How long each took, in seconds, `times` over after the warm-up; who begins changes each time."""
    asked: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP + times):
        for which in (0, 1) if number % 2 else (1, 0):
            started_at = clock()
            (one, other)[which]()
            asked[which].append(clock() - started_at)
    return asked[0][WARM_UP:], asked[1][WARM_UP:]


def answers(seconds: list[float], idle_percent: float) -> Answers:
    """Figures of the lengths of round trips, of which there are 100 at least."""
    hundredths = statistics.quantiles(seconds, n=100)
    return Answers(
        p50_milliseconds=hundredths[49] * 1000,
        p99_milliseconds=hundredths[98] * 1000,
        idle_percent=idle_percent,
    )


def _idle(pids: list[int], seconds: float) -> list[float]:
    """Percent of a core that each worker takes while nothing is asked."""
    before = [cpu_seconds(pid) for pid in pids]
    started_at = time.monotonic()
    time.sleep(seconds)  # this is what is measured
    passed = time.monotonic() - started_at
    return [(cpu_seconds(pid) - earlier) / passed * 100 for pid, earlier in zip(pids, before, strict=True)]
