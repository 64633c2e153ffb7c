"""`segue bench idle`: turns, percentiles, ratios."""

from __future__ import annotations

from bench.idle import WARM_UP, Answers, Idle, answers, in_turns


def test_both_are_asked_in_turns() -> None:
    """Neither always follows the other, and neither is asked twice in a row more than once."""
    order: list[str] = []
    in_turns(lambda: order.append("a"), lambda: order.append("b"), 4)
    assert "".join(order) == "baab" * ((WARM_UP + 4) // 2)


def test_the_first_round_trips_do_not_count() -> None:
    """A start-up is not a round trip: only the slow first ones took long here, and no figure shows it."""
    passed = iter(range(10_000_000))
    slow = WARM_UP * 4
    lengths = in_turns(lambda: None, lambda: None, 5, clock=lambda: float(max(slow, next(passed))))
    assert lengths == ([1.0] * 5, [1.0] * 5)


def test_percentiles_are_of_the_round_trips() -> None:
    """Half are no longer than p50; one in a hundred is longer than p99."""
    found = answers([0.001 * (number + 1) for number in range(999)], idle_percent=0.5)
    assert found == Answers(p50_milliseconds=500.0, p99_milliseconds=990.0, idle_percent=0.5)


def test_ratios_above_one_are_in_favour_of_stock_celery() -> None:
    """A round trip that takes twice as long as stock Celery's has the ratio 2."""
    slow = Answers(p50_milliseconds=8.0, p99_milliseconds=30.0, idle_percent=1.0)
    fast = Answers(p50_milliseconds=4.0, p99_milliseconds=20.0, idle_percent=1.0)
    found = Idle(round_trips=100, idle_seconds=1.0, ours=slow, stock=fast)
    assert found.ratios == {"p50_of_stock": 2.0, "p99_of_stock": 1.5}
    assert found.missed == ["p50_of_stock", "p99_of_stock"]


def test_what_is_reached_is_not_named() -> None:
    """As soon as stock Celery, and hardly awake: nothing is missed; 2.5 % of a core is."""
    calm = Answers(p50_milliseconds=4.0, p99_milliseconds=20.0, idle_percent=1.0)
    awake = Answers(p50_milliseconds=4.0, p99_milliseconds=20.0, idle_percent=2.5)
    assert not Idle(round_trips=100, idle_seconds=1.0, ours=calm, stock=calm).missed
    assert Idle(round_trips=100, idle_seconds=1.0, ours=awake, stock=calm).missed == ["idle_percent"]
