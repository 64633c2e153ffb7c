"""The rate is steady while the load is, and follows it when it changes."""

import numpy as np
import pytest

from batching.rate import ENOUGH, Rate


def told(rate: Rate, gaps: list[float], begin: float = 0.0) -> float:
    """When the last came."""
    at = begin
    for gap in gaps:
        at += gap
        rate.came(at)
    return at


def independent(per_second: float, count: int, seed: int = 1) -> list[float]:
    drawn: list[float] = np.random.default_rng(seed).exponential(1 / per_second, count).tolist()
    return drawn


def test_few_arrivals_make_no_rate() -> None:
    """One burst says nothing."""
    rate = Rate()
    told(rate, [0.001] * ENOUGH)
    assert rate.per_second == 0.0


def test_chance_hardly_moves_the_rate() -> None:
    """Over ten thousand independent arrivals it stays within a tenth."""
    rate, seen = Rate(), []
    at = told(rate, independent(40.0, 4000))
    for gap in independent(40.0, 10_000, seed=2):
        at = told(rate, [gap], at)
        seen.append(rate.per_second)
    assert 36.0 < min(seen) < max(seen) < 44.0


def test_another_load_is_seen_soon() -> None:
    """Twice the load is known after some hundred arrivals, however long it was another."""
    rate = Rate()
    at = told(rate, independent(20.0, 20_000))
    told(rate, independent(40.0, 400, seed=2), at)
    assert rate.per_second == pytest.approx(40.0, rel=0.2)


def test_order_of_claims_does_not_matter() -> None:
    """The rate is the same if those of a stretch come by length, as they are claimed, and not by age."""
    rate, draw = Rate(), np.random.default_rng(2)
    stretches = np.cumsum(independent(40.0, 4000)).reshape(-1, 16)
    for stretch in stretches.tolist():
        draw.shuffle(stretch)
        for at in stretch:
            rate.came(at)
    assert rate.per_second == pytest.approx(40.0, rel=0.1)


def test_past_arrival_is_no_gap() -> None:
    """One that was enqueued before the last moves no mean by itself, however long ago that was."""
    rate = Rate()
    at = told(rate, [0.1] * 100)
    rate.came(at - 50.0)
    assert rate.per_second == pytest.approx(10.0)
