"""The replay: what the worker adds is told from its receipts, and agreement is judged by both quantiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.replay import ENGINE, LARGEST, WITHIN, Added, Replay, Replayed, added, measure, rows, seen
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


def test_what_the_worker_adds() -> None:
    """Full batches end further apart than the engine takes, and a lone request takes longer still."""
    apart = ENGINE.of_size(LARGEST) + 0.004
    waiting = [replace(RECEIPT, batch_id=f"w/{one}", total=one * apart) for one in (1, 2, 2, 3)]
    partial = replace(RECEIPT, batch_id="w/9", batch_size=2, total=99.0)
    lone = ENGINE.of_size(1) + 0.004 + 0.003
    found = added([lone, lone], [*waiting, partial])
    assert found.between == pytest.approx(0.004)
    assert found.around == pytest.approx(0.003)
    assert seen(found).of_size(1) == pytest.approx(ENGINE.of_size(1) + 0.004)


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
    shown = list(rows(Replay(engine=ENGINE, added=Added(between=0.0, around=0.0), traces=[found])))
    assert ("they agree" in shown[1]) is agrees


@pytest.mark.soak
def test_worker_and_simulator_run_the_same_batches(tmp_path: Path) -> None:
    """On the same arrivals their batches are about as large; latencies depend on how quiet the machine is."""
    with LocalRedis() as server:
        found = measure(server.url, tmp_path, requests=100)
    for trace in found.traces:
        assert trace.measured_batch_size == pytest.approx(trace.simulated_batch_size, rel=0.5)
