"""The replay: what the worker adds is told from its receipts, and agreement is judged by both quantiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.replay import (
    ENGINE,
    LARGEST,
    SMALL,
    WITHIN,
    Added,
    Reached,
    Replay,
    Replayed,
    added_by,
    between,
    measure,
    rows,
    seen,
)
from bench.simulation.arrivals import as_items
from bench.simulation.simulator import simulate
from cli.local_redis import LocalRedis
from protocol.transcript import Timings

RECEIPT = Timings(
    queued=0.0,
    prepared=0.0,
    engine=0.1,
    total=0.0,
    batch_id="w/0",
    batch_size=LARGEST,
    batch_position=0,
    batch_reason="full",
    attempts=1,
    worker="w",
)


@pytest.mark.parametrize("size", [SMALL, LARGEST])
def test_what_passes_between_full_batches(size: int) -> None:
    """They end further apart than the engine takes; one that is not full does not count."""
    apart = ENGINE.of_size(size) + 0.004
    full = replace(RECEIPT, batch_size=size)
    waiting = [replace(full, batch_id=f"w/{one}", total=one * apart) for one in (1, 2, 2, 3)]
    partial = replace(RECEIPT, batch_id="w/9", batch_size=2, total=99.0)
    assert between([*waiting, partial], size) == pytest.approx(0.004)


def test_what_the_worker_adds() -> None:
    """A fixed part, one for each request of a batch, and what comes on top for a lone request."""
    latency = ENGINE.of_size(1) + 0.002 + 0.0005 + 0.003 + 0.004
    found = added_by((latency, 0.004), 0.002 + SMALL * 0.0005, 0.002 + LARGEST * 0.0005)
    assert (found.between, found.each, found.around) == pytest.approx((0.002, 0.0005, 0.003))
    assert found.way == 0.004
    assert seen(found).of_size(8) == pytest.approx(ENGINE.of_size(8) + 0.006)


def test_noise_makes_no_batch_cheaper() -> None:
    """If small batches seem to be further apart than large ones, there is no part for each request."""
    found = added_by((ENGINE.of_size(1) + 0.01, 0.001), 0.009, 0.005)
    assert (found.between, found.each) == pytest.approx((0.005, 0.0))


def test_who_comes_on_the_way_is_in_the_batch() -> None:
    """An idle worker binds 10 ms after the first was submitted; a busy one as soon as it is free."""
    times = np.array([1.0, 1.005, 1.05])
    run = simulate(Reached(LARGEST, 0.010), as_items(times), ENGINE)
    first = 1.0 + 0.010 + ENGINE.of_size(2)
    assert run.ended_at.tolist() == pytest.approx([first, first, first + ENGINE.of_size(1)])


def replayed(simulated_p50: float, simulated_p99: float) -> Replayed:
    return Replayed(
        trace="one",
        requests=100,
        measured_p50=1.0,
        simulated_p50=simulated_p50,
        measured_p99=2.0,
        simulated_p99=simulated_p99,
        measured_batch_size=3.0,
        simulated_batch_size=3.0,
    )


@pytest.mark.parametrize(
    ("p50", "p99", "agrees"),
    [(1 + WITHIN / 2, 2.0, True), (1 + 2 * WITHIN, 2.0, False), (1.0, 2 - 4 * WITHIN, False)],
)
def test_both_quantiles_must_agree(p50: float, p99: float, agrees: bool) -> None:
    """Too far apart in either is no agreement, whichever is the larger."""
    found = replayed(p50, p99)
    assert found.agrees is agrees
    shown = list(
        rows(Replay(engine=ENGINE, added=Added(between=0.0, each=0.0, way=0.0, around=0.0), traces=[found]))
    )
    assert ("they agree" in shown[1]) is agrees


@pytest.mark.soak
def test_worker_and_simulator_run_the_same_batches(tmp_path: Path) -> None:
    """On the same arrivals their batches are about as large; latencies depend on how quiet the machine is."""
    with LocalRedis() as server:
        found = measure(server.url, tmp_path, requests=100)
    for trace in found.traces:
        assert trace.measured_batch_size == pytest.approx(trace.simulated_batch_size, rel=0.5)
