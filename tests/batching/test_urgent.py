"""Batches stay short while urgent items come, and large enough for the others."""

from batching.duration import Duration
from batching.urgent import capped
from batching.windows import Room

BY_SIZE = Duration(0.08, 0.02)


def rows(rate: float, seconds: float, largest: int = 16) -> int:
    return capped(Room(rows=largest), BY_SIZE, 1.0, rate, seconds).rows


def test_batch_ends_within_the_seconds() -> None:
    """0.2 s are enough for six items of this engine."""
    assert rows(rate=1.0, seconds=0.2) == 6


def test_batches_keep_up_with_the_load() -> None:
    """At 25 a second batches of five are busy for 90 % of the time, and those of 0.1 s would not keep up."""
    assert rows(rate=25.0, seconds=0.1) == 5


def test_overload_takes_the_largest() -> None:
    """Where no size keeps up, batches are as large as they may be."""
    assert rows(rate=60.0, seconds=0.1) == 16


def test_at_least_one_runs() -> None:
    """Even if one item takes longer than urgent batches should."""
    assert rows(rate=0.1, seconds=0.01) == 1
