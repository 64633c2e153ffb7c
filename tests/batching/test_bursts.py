"""One test per rule of `batching.bursts`."""

import numpy as np
import pytest

from batching.bursts import ENOUGH, Bursts
from batching.duration import Duration

BY_SIZE = Duration(0.084, 0.018)


def bursts_of(size: int, gap: float, times: int = 30) -> tuple[Bursts, float]:
    """Bursts a minute apart, and when the last item came."""
    seen, at = Bursts(), 0.0
    for burst in range(times):
        for number in range(size):
            at = 60.0 * burst + gap * number
            seen.came(at, BY_SIZE, 1.0)
    return seen, at


def held(seen: Bursts, size: int) -> float:
    return seen.hold_until(size, BY_SIZE, 1.0)


def test_next_of_a_burst_is_waited_for() -> None:
    """The first of a burst waits for as long as the second took each time (rules 2, 4)."""
    seen, at = bursts_of(4, gap=0.002)
    seen.came(at + 60, BY_SIZE, 1.0)
    assert held(seen, 1) == pytest.approx(at + 60 + 0.002)


def test_burst_is_known_to_be_over() -> None:
    """After the fourth of bursts of four nothing is held (rule 2)."""
    seen, _ = bursts_of(4, gap=0.002)
    assert held(seen, 4) == float("-inf")


def test_many_do_not_wait_for_one() -> None:
    """The more would wait, the less it pays: in bursts of twelve, ten start without the last two (rule 3)."""
    seen, at = bursts_of(12, gap=0.002)
    for number in range(10):
        seen.came(at + 60 + 0.002 * number, BY_SIZE, 1.0)
    assert held(seen, 10) == float("-inf")


def test_nothing_is_held_before_enough_was_seen() -> None:
    """A few bursts may be chance (rule 4)."""
    seen, at = bursts_of(2, gap=0.002, times=ENOUGH - 1)
    seen.came(at + 60, BY_SIZE, 1.0)
    assert held(seen, 1) == float("-inf")


def test_gaps_that_are_too_long_are_not_waited_for() -> None:
    """Whoever comes after an engine call need not be waited for (rule 3)."""
    seen, at = bursts_of(2, gap=0.2)
    seen.came(at + 60, BY_SIZE, 1.0)
    assert held(seen, 1) == float("-inf")


def test_congestion_leaves_no_trace() -> None:
    """After thousands of arrivals at a high rate, independent single ones are soon not held (rule 4, B9)."""
    seen, draw, at = Bursts(), np.random.default_rng(1), 0.0
    for gap in draw.exponential(0.02, 5000):
        at += gap
        seen.came(at, BY_SIZE, 1.0)
    for number in range(100):
        seen.came(at + 10.0 * (number + 1), BY_SIZE, 1.0)
    assert held(seen, 1) == float("-inf")


def test_item_that_came_another_way_tells_nothing() -> None:
    """One enqueued before the last, which was put back perhaps, is no gap."""
    seen, at = bursts_of(2, gap=0.002)
    seen.came(at + 60, BY_SIZE, 1.0)
    before = held(seen, 1)
    seen.came(at + 30, BY_SIZE, 1.0)
    assert held(seen, 1) == before
