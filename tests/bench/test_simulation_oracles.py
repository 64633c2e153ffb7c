"""The oracles are right, and the simulator agrees with them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.simulation.arrivals import Times, as_items, poisson
from bench.simulation.contest import LARGEST, POLICIES
from bench.simulation.cost import Linear
from bench.simulation.oracles.best_online import Tabled, at_least, best_policy
from bench.simulation.oracles.clairvoyant import least_mean_latency
from bench.simulation.oracles.inoue import latency_bound
from bench.simulation.policy import Policy, Shipped
from bench.simulation.simulator import simulate


def drawn_rate(times: Times) -> float:
    """The rate that was drawn, a per cent or so off the one asked for."""
    return float(len(times) / times[-1])


def mean(policy: Policy, times: Times) -> float:
    return float(simulate(policy, as_items(times), Linear()).latencies.mean())


@pytest.mark.parametrize(("load", "within"), [(0.1, 0.03), (0.2, 0.08), (0.5, 0.03), (0.8, 0.03)])
def test_taking_all_agrees_with_the_closed_form(load: float, within: float) -> None:
    """Without a largest batch the simulated mean is Inoue's, which bounds it and is loose at light load."""
    times = poisson(load / Linear().each, 10_000, 3)
    bound = latency_bound(drawn_rate(times), Linear())
    assert bound * (1 - within) <= mean(Shipped(len(times)), times) <= bound * 1.02


def test_closed_form_refuses_what_no_batch_size_serves() -> None:
    """Items that come faster than each costs pile up whatever the batches."""
    with pytest.raises(ValueError, match=r"rate is 60\.0/s"):
        latency_bound(60.0, Linear())


@pytest.mark.parametrize("load", [0.2, 0.8])
def test_simulation_agrees_with_the_exact_process(load: float) -> None:
    """With a largest batch the simulated mean is that of the Markov chain, for both policies it knows."""
    times = poisson(load * Linear().capacity(LARGEST), 10_000, 5)
    best = best_policy(drawn_rate(times), Linear(), LARGEST)
    assert mean(Tabled(LARGEST, best), times) == pytest.approx(best.mean_latency, rel=0.02)
    exact = at_least(1, drawn_rate(times), Linear(), LARGEST)
    assert mean(Shipped(LARGEST), times) == pytest.approx(exact.mean_latency, rel=0.02)


@pytest.mark.parametrize("load", [0.2, 0.9])
@pytest.mark.parametrize("cost", [Linear(), Linear(base=0.16, each=0.01)], ids=["whisper", "embeddings"])
def test_taking_all_is_next_to_the_best_without_foresight(load: float, cost: Linear) -> None:
    """For independent requests on one engine no wait is worth more than 2 % of the mean (target 1)."""
    rate = load * cost.capacity(LARGEST)
    least = best_policy(rate, cost, LARGEST).mean_latency
    assert least <= at_least(1, rate, cost, LARGEST).mean_latency <= 1.02 * least


def test_best_policy_waits_where_waiting_pays() -> None:
    """When calls cost all and items nothing, and more come at once, a lone item is held."""
    assert best_policy(40.0, Linear(base=0.1, each=1e-6), 4).sizes[:2].tolist() == [0, 0]


def test_best_policy_is_better_than_any_fixed_minimum() -> None:
    """Where waiting pays, it beats taking all, and no number to wait for beats it."""
    rate, cost, largest = 18.0, Linear(base=0.2, each=1e-6), 4
    best = best_policy(rate, cost, largest).mean_latency
    others = [at_least(fewest, rate, cost, largest).mean_latency for fewest in range(1, largest + 1)]
    assert best <= min(others) + 1e-9
    assert best < 0.98 * others[0]


def test_policy_that_waits_ends_when_nothing_comes() -> None:
    """The last items of a simulation run although the table would wait for more."""
    best = best_policy(40.0, Linear(base=0.1, each=1e-6), 4)
    run = simulate(Tabled(4, best), as_items(np.array([1.0])), Linear())
    assert 1.1 < run.ended_at[0] < 2.0


def by_force(times: list[float], cost: Linear, largest: int) -> float:
    """The least mean latency, by trying every way to cut the items into batches."""

    def least(first: int, free_at: float) -> float:
        if first == len(times):
            return 0.0
        sums = []
        for last in range(first + 1, min(first + largest, len(times)) + 1):
            ends = max(free_at, times[last - 1]) + cost.of_size(last - first)
            sums.append(sum(ends - time for time in times[first:last]) + least(last, ends))
        return min(sums)

    return least(0, 0.0) / len(times)


@given(gaps=st.lists(st.floats(0, 0.3), min_size=1, max_size=9), largest=st.integers(1, 4))
def test_clairvoyant_schedule_is_the_best_of_all(gaps: list[float], largest: int) -> None:
    """On short arrivals it finds what trying everything finds."""
    times = np.cumsum(gaps)
    assert least_mean_latency(times, Linear(), largest) == pytest.approx(
        by_force(times.tolist(), Linear(), largest)
    )


def test_nobody_beats_the_clairvoyant() -> None:
    """A bound that a policy beats is no bound, or the simulator lets it see the future."""
    times = poisson(0.5 * Linear().capacity(LARGEST), 600, 2)
    least = least_mean_latency(times, Linear(), LARGEST)
    assert not [name for name, policy in POLICIES.items() if mean(policy(), times) < least]
