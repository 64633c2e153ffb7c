"""`segue bench overlap`: what a worker's figures say of its engine."""

from __future__ import annotations

from bench.overlap import Overlap, Round, judged, middle


def told(*, idle: float, busy: float, ready: float, requests: float) -> dict[str, float]:
    return {
        "segue_batch_size_sum": requests,
        "segue_engine_idle_with_work_seconds_total": idle,
        "segue_batch_duration_seconds_sum": busy,
        "segue_prepared_ahead_total": ready,
    }


def test_what_was_before_does_not_count() -> None:
    """A worker's start, the request that warms it up, and the first batch are in the figures before."""
    before = told(idle=5.0, busy=1.0, ready=1, requests=9)
    found = judged(before, told(idle=6.0, busy=20.0, ready=41, requests=89))
    assert found == Round(idle_percent=5.0, requests_per_second=4.0, ready_percent=50.0)


def test_the_ratio_is_of_medians() -> None:
    """One round that something disturbed changes nothing."""
    rounds = [
        Round(idle_percent=idle, requests_per_second=rate, ready_percent=100.0)
        for idle, rate in ((1.0, 30.0), (60.0, 3.0), (2.0, 40.0))
    ]
    found = Overlap(requests=8, rounds=3, ahead=middle(rounds), in_turn=rounds[1], first_wait_ms=9.0)
    assert found.ahead == Round(idle_percent=2.0, requests_per_second=30.0, ready_percent=100.0)
    assert found.ratios == {"throughput": 10.0}
