"""Recorded arrivals, replayed against a real worker and through the simulator: do the two agree?

The worker runs the fake engine, whose batches take 100 ms and more. What the worker adds to that is measured
first, and told to the simulator: when an idle worker has a request in hand, how much later the next batch
begins, which is more after a large one, and how much later an outcome comes.
Latencies count as in the receipt, from submit until the outcome reached the worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import mean

import numpy as np

from batching.item import Item
from bench.arriving import receipt_of, submitted_at
from bench.contestants import AUDIO, ours, running
from bench.simulation.arrivals import Times, as_items, bursts, poisson
from bench.simulation.cost import Linear
from bench.simulation.policy import Members, Shipped
from bench.simulation.simulator import simulate
from producer import Client
from protocol.transcript import Timings

LARGEST = 16

#: The size of the other batches by which is measured what a worker adds for each request.
SMALL = 4

#: What the fake engine takes.
ENGINE = Linear(base=0.100, each=0.005)

#: The worker's settings; the simulated batcher has the same.
SETTINGS = {
    "MAX_BATCH_SIZE": LARGEST,
    "MIN_BATCH_SIZE": 1,
    "FAKE_FIXED_MS": ENGINE.base * 1000,
    "FAKE_PER_ROW_MS": ENGINE.each * 1000,
}

#: Calibration: requests that come alone, and full batches that come at once: as many as tell the mean, which
#: is what adds up in a queue, and not the median.
LONE, FULL = 10, 20

#: How far apart the simulated and the measured may be, as a share of the measured.
WITHIN = 0.15

#: How long a request may take, in seconds; the first waits for the worker to start.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What the worker adds to the engine's own time, in seconds."""

    between: float
    """From the end of an engine call to the next: it keeps the engine from its work."""
    each: float
    """The same for each request of a batch."""
    way: float
    """From submit until an idle worker binds a batch; whoever has come by then is in it."""
    around: float
    """To the latency of a request beyond all that; below 0 if part of `between` comes after the outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One trace, both ways: latencies in seconds."""

    trace: str
    requests: int
    measured_p50: float
    simulated_p50: float
    measured_p99: float
    simulated_p99: float
    measured_batch_size: float
    simulated_batch_size: float
    agrees: bool = field(init=False)
    """Whether both quantiles are within `WITHIN` of each other."""

    def __post_init__(self) -> None:
        pairs = ((self.simulated_p50, self.measured_p50), (self.simulated_p99, self.measured_p99))
        agrees = all(abs(simulated / measured - 1) <= WITHIN for simulated, measured in pairs)
        object.__setattr__(self, "agrees", agrees)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """All of them, and what was measured of the worker first."""

    engine: Linear
    added: Added
    traces: Sequence[Replayed]


def traces(requests: int, seed: int) -> dict[str, Times]:
    """Seconds from the beginning, rising; loads are relative to full batches."""
    capacity = ENGINE.capacity(LARGEST)
    return {
        "independent, load 0.3": poisson(0.3 * capacity, requests, seed),
        "independent, load 0.7": poisson(0.7 * capacity, requests, seed),
        "bursts of four, load 0.3": bursts(0.3 * capacity, requests, seed, gap=0.002),
    }


def measure(redis_url: str, folder: Path, *, requests: int = 600, seed: int = 1) -> Replay:
    """Replay every trace.

    Raises:
        ResultTimeout: the worker does not answer.
    """
    small = SETTINGS | {"MAX_BATCH_SIZE": SMALL}
    with running(ours(**small), redis_url, folder / "small.log"), Client(redis_url) as client:
        _lone(client)  # of one size only the worker would learn nothing, and halve one batch to do so
        after_small = _between(client, SMALL)
    with running(ours(**SETTINGS), redis_url, folder / "replay.log"), Client(redis_url) as client:
        added = added_by(_lone(client), after_small, _between(client, LARGEST))
        found = [_replay(client, name, times, added) for name, times in traces(requests, seed).items()]
    return Replay(engine=ENGINE, added=added, traces=found)


class Reached(Shipped):
    """The batcher in a worker that a request has to reach first."""

    def __init__(self, largest: int, way: float) -> None:
        super().__init__(largest)
        self._way = way
        self._reached_at = float("-inf")

    def add(self, item: Item) -> None:
        """It waits, and is on its way if nothing did."""
        if self.wake_at() is None:
            self._reached_at = item.enqueued_at + self._way
        super().add(item)

    def take(self, now: float, /) -> Members:
        """Nothing before the first has arrived, and then all that has come."""
        return super().take(now) if now >= self._reached_at else ()

    def wake_at(self) -> float | None:
        """As ever, and not before the first has arrived."""
        at = super().wake_at()
        return None if at is None else max(at, self._reached_at)


def _lone(client: Client) -> tuple[float, float]:
    """The mean latency of requests that come alone, and how much of it is before their batch: seconds."""
    for _ in range(LONE):  # connections and scripts are there afterwards
        client.submit(AUDIO, language="en").result(PATIENCE_SECONDS)
    alone = [receipt_of(client.submit(AUDIO, language="en").result(PATIENCE_SECONDS)) for _ in range(LONE)]
    return mean(one.total for one in alone), mean(one.queued for one in alone)


def _between(client: Client, size: int) -> float:
    """What passes between full batches of `size` that wait for one another, in seconds."""
    tickets = client.submit_many([AUDIO] * (FULL * size), language="en")
    return between([receipt_of(one.result(PATIENCE_SECONDS)) for one in tickets], size)


def between(waiting: Sequence[Timings], size: int) -> float:
    """The same from the receipts of requests that were submitted together."""
    ends = sorted({one.batch_id: one.total for one in waiting if one.batch_size == size}.values())
    return mean(later - earlier for earlier, later in pairwise(ends)) - ENGINE.of_size(size)


def added_by(lone: tuple[float, float], after_small: float, after_large: float) -> Added:
    """From what `_lone` found, and from what passes between batches of `SMALL` and of `LARGEST`: seconds."""
    latency, way = lone
    each = max(0.0, (after_large - after_small) / (LARGEST - SMALL))
    fixed = max(0.0, after_large - each * LARGEST)
    return Added(between=fixed, each=each, way=way, around=latency - ENGINE.of_size(1) - fixed - each - way)


def _replay(client: Client, name: str, times: Times, added: Added) -> Replayed:
    sounds = [AUDIO] * len(times)
    came_at, receipts = submitted_at(client, times, sounds, timeout=PATIENCE_SECONDS, language="en")
    measured = [one.total for one in receipts]
    run = simulate(Reached(LARGEST, added.way), as_items(np.array(came_at)), seen(added))
    measured_p50, measured_p99 = np.quantile(measured, [0.5, 0.99]).tolist()
    simulated_p50, simulated_p99 = (np.quantile(run.latencies, [0.5, 0.99]) + added.around).tolist()
    return Replayed(
        trace=name,
        requests=len(times),
        measured_p50=measured_p50,
        simulated_p50=simulated_p50,
        measured_p99=measured_p99,
        simulated_p99=simulated_p99,
        measured_batch_size=len(times) / len({one.batch_id for one in receipts}),
        simulated_batch_size=float(np.mean(run.sizes)),
    )


def seen(added: Added) -> Linear:
    """The engine as those see it who wait for it."""
    return Linear(base=ENGINE.base + added.between, each=ENGINE.each + added.each)


def rows(found: Replay) -> Iterator[str]:
    """For reading, in milliseconds."""
    yield (
        f"The worker adds {found.added.between * 1000:.1f} ms between batches,"
        f" {found.added.each * 1000:.2f} ms for each request of one,"
        f" {found.added.way * 1000:.1f} ms before an idle engine's batch,"
        f" and {found.added.around * 1000:.1f} ms to a request."
    )
    for one in found.traces:
        p50 = _beside(one.simulated_p50, one.measured_p50)
        p99 = _beside(one.simulated_p99, one.measured_p99)
        verdict = "agree" if one.agrees else "do not agree"
        yield f"{one.trace}: p50 {p50}; p99 {p99}: they {verdict}"


def _beside(simulated: float, measured: float) -> str:
    ratio = simulated / measured
    return f"{simulated * 1000:.0f} simulated, {measured * 1000:.0f} measured ({ratio:.2f})"
