"""Recorded arrivals, replayed against a real worker and through the simulator: do the two agree?

The worker runs the fake engine, whose batches take 100 ms and more. What the worker adds to that is measured
first, and told to the simulator: how much later the next batch begins, and how much later an outcome comes.
Latencies count as in the receipt, from submit until the outcome reached the worker.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import mean

import numpy as np

from bench.contestants import AUDIO, ours, running
from bench.simulation.arrivals import Times, as_items, bursts, poisson
from bench.simulation.cost import Linear
from bench.simulation.policy import Shipped
from bench.simulation.simulator import simulate
from producer import Client
from protocol.transcript import Timings, Transcript

LARGEST = 16

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
    around: float
    """To the latency of a request beyond that; below 0 if part of `between` comes after the outcome."""


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
    with running(ours(**SETTINGS), redis_url, folder / "replay.log"), Client(redis_url) as client:
        added = _added(client)
        found = [_replay(client, name, times, added) for name, times in traces(requests, seed).items()]
    return Replay(engine=ENGINE, added=added, traces=found)


def _added(client: Client) -> Added:
    """Measured with requests that come alone, and with full batches that wait for one another."""
    for _ in range(LONE):  # connections and scripts are there afterwards
        client.submit(AUDIO, language="en").result(PATIENCE_SECONDS)
    lone = [_receipt(client.submit(AUDIO, language="en").result(PATIENCE_SECONDS)) for _ in range(LONE)]
    tickets = client.submit_many([AUDIO] * (FULL * LARGEST), language="en")
    return added([one.total for one in lone], [_receipt(one.result(PATIENCE_SECONDS)) for one in tickets])


def added(lone: Sequence[float], waiting: Sequence[Timings]) -> Added:
    """From the latencies of lone requests, and from the receipts of requests that were submitted together."""
    ends = sorted({one.batch_id: one.total for one in waiting if one.batch_size == LARGEST}.values())
    between = mean(later - earlier for earlier, later in pairwise(ends)) - ENGINE.of_size(LARGEST)
    return Added(between=between, around=mean(lone) - ENGINE.of_size(1) - between)


def _replay(client: Client, name: str, times: Times, added: Added) -> Replayed:
    submitted_at, receipts = _submitted(client, times)
    measured = [one.total for one in receipts]
    run = simulate(Shipped(LARGEST), as_items(np.array(submitted_at)), seen(added))
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
    return Linear(base=ENGINE.base + added.between, each=ENGINE.each)


def _submitted(client: Client, times: Times) -> tuple[Sequence[float], Sequence[Timings]]:
    """When each request was submitted, in seconds from the beginning, and its receipt."""
    began_at = time.monotonic()
    tickets, submitted_at = [], []
    for at in times.tolist():
        time.sleep(max(0.0, began_at + at - time.monotonic()))  # these are the arrivals
        submitted_at.append(time.monotonic() - began_at)
        tickets.append(client.submit(AUDIO, language="en"))
    return submitted_at, [_receipt(ticket.result(PATIENCE_SECONDS)) for ticket in tickets]


def _receipt(transcript: Transcript) -> Timings:
    if transcript.timings is None:
        raise LookupError(f"the result of request {transcript.request_id} has no receipt")
    return transcript.timings


def rows(found: Replay) -> Iterator[str]:
    """For reading, in milliseconds."""
    yield (
        f"The worker adds {found.added.between * 1000:.1f} ms between batches"
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
