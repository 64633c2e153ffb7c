"""`segue bench lengths`: what is told of latencies."""

from __future__ import annotations

from bench.lengths import latency_of


def test_the_first_tenth_is_left_out() -> None:
    """The queue is still empty then; a queue that grows shows in the later half."""
    found = latency_of([9.0] + [0.1] * 4 + [0.3] * 5)
    assert (found.mean, found.p99, found.last_half) == (211, 300, 300)
