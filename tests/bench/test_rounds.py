"""Comparing in one run: everything meets the same noise."""

from itertools import accumulate

from bench.rounds import interleaved


def test_things_take_turns() -> None:
    """Each runs once a round, every other round backwards; whoever waits is told which is next."""
    order: list[str] = []
    said: list[str] = []
    things = {name: lambda name=name: order.append(name) for name in "abc"}
    interleaved(things, 2, say=said.append)
    assert "".join(order) == "abccba"
    assert said[0] == "round 1 of 2: a"


def test_the_median_counts() -> None:
    """One disturbed round of three does not show."""
    lengths = [1.0, 9.0, 2.0]
    ticks = iter(accumulate(tick for length in lengths for tick in (0.0, length)))
    found = interleaved({"a": lambda: "text"}, 3, say=lambda _: None, clock=lambda: next(ticks))
    assert found["a"].seconds == 2.0
    assert found["a"].answer == "text"
