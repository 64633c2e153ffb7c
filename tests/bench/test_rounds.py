"""Comparing in one run: everything meets the same noise."""

from functools import partial

import pytest

from bench.rounds import Spent, Timed, interleaved, spent


def timed(*seconds: float) -> Timed[str]:
    return Timed(runs=[Spent(seconds=one, cpu_seconds=2 * one, answer=f"after {one} s") for one in seconds])


def test_things_take_turns() -> None:
    """Each runs once a round, every other round backwards; whoever waits is told which is next."""
    order: list[str] = []
    said: list[str] = []
    things = {name: partial(spent, partial(order.append, name)) for name in "abc"}
    interleaved(things, 2, say=said.append)
    assert "".join(order) == "abccba"
    assert said[0] == "round 1 of 2: a"


def test_both_clocks_are_read_around_a_thing() -> None:
    """What it took on the clock, and of the processor, goes with what it gave."""
    clock, cpu_clock = iter([3.0, 10.0]), iter([1.0, 3.0])
    found = spent(lambda: "text", clock=lambda: next(clock), cpu_clock=lambda: next(cpu_clock))
    assert found == Spent(seconds=7.0, cpu_seconds=2.0, answer="text")


def test_the_median_counts() -> None:
    """One disturbed round of three does not show; the answer is the last."""
    found = timed(1.0, 9.0, 2.0)
    assert (found.seconds, found.cpu_seconds, found.answer) == (2.0, 4.0, "after 2.0 s")


def test_things_are_compared_within_each_round() -> None:
    """A machine that becomes ten times slower between rounds changes no ratio."""
    ours, theirs = timed(1.0, 10.0, 100.0), timed(3.0, 30.0, 300.0)
    assert ours.times_faster(theirs) == pytest.approx(3.0)
    assert ours.times_cheaper(theirs) == pytest.approx(3.0)
