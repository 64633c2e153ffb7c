"""The simulator counts right, and notices broken policies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batching.item import Item
from bench.simulation.arrivals import LONGEST, SHORTEST, as_items, bursts, poisson, speech_lengths
from bench.simulation.contest import LARGEST, POLICIES
from bench.simulation.cost import Linear, Padded
from bench.simulation.policy import Claiming, Members, Seeing, Shipped
from bench.simulation.simulator import BrokenPolicy, Run, simulate
from bench.simulation.studies.lengths import ONE_SEEN, TWO_SEEN, calibrated, policies, speech
from bench.simulation.summary import summary_of

COST = Linear(base=0.1, each=0.01)


def at(*times: float) -> list[Item]:
    return list(as_items(np.array(times)))


def test_latency_counts_from_enqueued_to_the_end_of_the_batch() -> None:
    """One alone, then two that came while it ran, then one on an idle engine."""
    run = simulate(Shipped(4), at(1.0, 1.05, 1.1, 9.0), COST)
    assert run.latencies.tolist() == pytest.approx([0.11, 0.11 + 0.12 - 0.05, 0.11 + 0.12 - 0.1, 0.11])
    assert run.sizes == [1, 2, 1]
    assert run.busy == pytest.approx(0.11 + 0.12 + 0.11)


def test_shipped_batcher_is_woken_at_the_end_of_its_window() -> None:
    """A lone item waits for the window of the settings, in simulated time."""
    run = simulate(Shipped(4, smallest=2, window=0.5), at(1.0), COST)
    assert run.ended_at.tolist() == pytest.approx([1.0 + 0.5 + 0.11])


@pytest.mark.parametrize(("most", "first"), [(2, [0]), (3, [0, 2])])
def test_worker_chooses_among_what_it_holds(most: int, first: list[int]) -> None:
    """The third, as short as the first, runs with it if it has been claimed when the engine is free."""
    policy = Claiming(2, most, calibration=calibrated(2))
    for item in as_items(np.zeros(3), np.array([1.0, 30.0, 1.0])):
        policy.add(item)
    assert [item.id for item in policy.take(0.0)] == first
    assert {item.id for item in (*policy.take(0.0), *policy.take(0.0))} == {0, 1, 2} - set(first)


@pytest.mark.parametrize(("most", "first"), [(2, [0, 1]), (3, [0, 2])])
def test_worker_chooses_among_what_it_sees(most: int, first: list[int]) -> None:
    """The third, as short as the first, is claimed for the same batch if it was seen; the second stays."""
    policy = Seeing(2, most, calibration=calibrated(2))
    for item in as_items(np.zeros(3), np.array([1.0, 1.5 if most == 2 else 30.0, 1.0])):
        policy.add(item)
    assert [item.id for item in policy.take(0.0)] == first
    assert [item.id for item in policy.take(0.0)] == sorted({0, 1, 2} - set(first))


def test_two_batches_seen_are_enough() -> None:
    """At 1.3 of what first come first served can bear, a worker that sees two batches keeps up."""
    seen, held = (
        summary_of([simulate(policies()[name](), speech(1.3, 3000, 1), Padded())])
        for name in (TWO_SEEN, ONE_SEEN)
    )
    assert (seen.stable, held.stable) == (True, False)


def test_padding_costs_what_the_longest_does() -> None:
    """A second in a batch with ten costs like ten."""
    short, long = as_items(np.array([0.0, 0.0]), lengths=np.array([1.0, 10.0]))
    cost = Padded(base=1.0, each=0.1, longest=0.01, padded=0.001)
    assert cost.seconds([short, long]) == pytest.approx(1.0 + 0.2 + 0.1 + 0.02)


class Broken(Shipped):
    """The shipped batcher, with a fault."""

    def __init__(self, fault: str) -> None:
        super().__init__(4)
        self._fault = fault

    def wake_at(self) -> float | None:
        """As it should be, or long ago."""
        return 0.0 if self._fault == "asks for the past" else super().wake_at()

    def take(self, now: float, /) -> Members:
        """As it should be, but for the fault."""
        if self._fault == "asks for the past":
            return ()
        members = super().take(now)
        return members[1:] if self._fault == "loses one" else members * 2


@pytest.mark.parametrize("fault", ["loses one", "runs twice", "asks for the past"])
def test_broken_policy_is_noticed(fault: str) -> None:
    """A policy that loses an item, runs one twice, or never sleeps is an error, not a good result."""
    with pytest.raises(BrokenPolicy):
        simulate(Broken(fault), at(1.0, 1.0, 2.0), COST)


@settings(max_examples=100)
@given(name=st.sampled_from(list(POLICIES)), gaps=st.lists(st.floats(0, 0.3), min_size=1, max_size=50))
def test_every_policy_runs_every_item_once(name: str, gaps: list[float]) -> None:
    """No policy loses or doubles an item, exceeds the largest batch, or ends one before it came."""
    run = simulate(POLICIES[name](), as_items(np.cumsum(gaps)), Linear())
    assert sum(run.sizes) == len(gaps)
    assert max(run.sizes) <= LARGEST
    assert run.latencies.min() >= Linear().of_size(1) - 1e-9


@pytest.mark.parametrize("name", POLICIES)
def test_same_seed_same_figures(name: str) -> None:
    """A simulation depends on its arguments only."""
    first, again = (simulate(POLICIES[name](), as_items(poisson(20.0, 300, 7)), Linear()) for _ in range(2))
    assert np.array_equal(first.ended_at, again.ended_at)


def test_arrivals_have_the_rate_that_was_asked_for() -> None:
    """Independent or in bursts, rising, and as many a second as asked."""
    for times in (poisson(20.0, 20_000, 1), bursts(20.0, 20_000, 1, gap=0.002)):
        assert np.all(np.diff(times) >= 0)
        assert len(times) / times[-1] == pytest.approx(20.0, rel=0.05)


def test_bursts_come_together() -> None:
    """Three of four gaps are those within a burst."""
    gaps = np.diff(bursts(1.0, 4000, 1, size=4, gap=0.001))
    assert np.mean(gaps < 0.01) == pytest.approx(0.75, abs=0.02)


def test_lengths_stay_within_what_the_engine_takes() -> None:
    """Speech lasts from a second to the window of the engine."""
    lengths = speech_lengths(5000, 1)
    assert SHORTEST <= lengths.min() < 3.0
    assert 20.0 < lengths.max() <= LONGEST


def run_of(ended_at: list[float]) -> Run:
    enqueued_at = np.arange(len(ended_at), dtype=float)
    return Run(enqueued_at=enqueued_at, ended_at=np.array(ended_at), sizes=[1] * len(ended_at), busy=1.0)


def test_growing_queue_is_unstable() -> None:
    """Of a hundred items that come one a second, three may not be left when the last comes."""
    in_time = [number + 0.5 for number in range(100)]
    assert summary_of([run_of(in_time)]).stable
    assert not summary_of([run_of([*in_time[:97], 200.0, 201.0, 202.0])]).stable


def test_start_is_left_out_of_the_summary() -> None:
    """The first tenth, when the queue is still empty, does not count."""
    warm = [number + 2.0 for number in range(100)]
    cold = [float(number) for number in range(10)]
    assert summary_of([run_of([*cold, *warm[10:]])]).mean == pytest.approx(2.0)
