"""The plan of a storm: the same seed asks for the same, at the same moments."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from bench.storm import Kind, Plan, Strike

PLAN = Plan(requests=1_000, rate=100, kills=9, resets=20, partitions=1, cancels=30, crashes=2, seed=7)


def test_the_same_seed_strikes_at_the_same_moments() -> None:
    """A storm can be repeated; another seed is another storm."""
    assert PLAN.timetable() == replace(PLAN).timetable()
    assert PLAN.timetable() != replace(PLAN, seed=8).timetable()
    assert PLAN.kinds() == replace(PLAN).kinds()
    assert PLAN.kinds() != replace(PLAN, seed=8).kinds()


def test_every_strike_comes_while_the_load_lasts() -> None:
    """As many of each as asked for, one in each stretch, in the order of their times."""
    times = [at for at, _ in PLAN.timetable()]
    assert Counter(strike for _, strike in PLAN.timetable()) == +PLAN.strikes
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= PLAN.seconds == 10


def test_as_many_requests_are_special_as_asked_for() -> None:
    """The others are plain, and all of them are as many as the plan says."""
    kinds = Counter(PLAN.kinds())
    assert kinds == {Kind.CANCEL: 30, Kind.CRASH: 2, Kind.PLAIN: 968}


def test_more_special_requests_than_there_are_is_refused() -> None:
    """Who asks for that is told both numbers."""
    with pytest.raises(ValueError, match="32 special requests of 31"):
        replace(PLAN, requests=31).kinds()


def test_every_strike_of_a_batch_may_make_it_run_again() -> None:
    """What may run again follows from what strikes: a plan without strikes allows nothing."""
    assert Plan().interruptions == 6
    assert Plan(kills=0).interruptions == 0
    assert Plan(kills=0, crashes=1).interruptions == 3
    assert Plan(kills=0, redis_kills=1, workers=5).interruptions == 5


def test_a_strike_is_named_for_what_it_does() -> None:
    """The names stand in ledgers, so that no two are alike."""
    assert len({str(strike) for strike in Strike}) == len(Strike)
