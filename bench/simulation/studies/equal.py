"""Requests that differ in nothing: independent, in bursts, after congestion, and beside the best possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.simulation.arrivals import Times, as_items, bursts, poisson
from bench.simulation.contest import BENTOML, BEST, LARGEST, POLICIES, SEGUE, WHISPER
from bench.simulation.cost import Linear
from bench.simulation.estimation import SCENARIOS, Errors, compare
from bench.simulation.oracles.best_online import Tabled, best_policy
from bench.simulation.oracles.clairvoyant import least_mean_latency
from bench.simulation.policy import Policy
from bench.simulation.simulator import simulate
from bench.simulation.summary import Summary, summary_of

#: Requests a second over the capacity in full batches.
LOADS = (0.05, 0.2, 0.3, 0.5, 0.7, 0.9, 0.95)

#: Loads with bursts of four, and the mean gaps within a burst in seconds.
BURST_LOADS = (0.05, 0.2)
BURST_GAPS = (0.0003, 0.002, 0.010)

#: Costs by what a call costs over what an item costs: 4.7 is Whisper's (see `Linear`), 16 like embeddings.
COSTS = {"1": Linear(base=0.1, each=0.1), "4.7": WHISPER, "16": Linear(base=0.16, each=0.01)}

#: Items for which the clairvoyant schedule is computed, at half a millisecond each.
FORESEEN = 2000

#: Congestion, and after it: so many seconds at this load, then so many requests at so many a second.
CONGESTED, CONGESTED_LOAD = 60.0, 0.95
QUIET, QUIET_RATE = 150, 2.0

#: How often the congestion and the estimators' scenarios are drawn: they are short.
REPEATED = 10

#: A summary for each policy by load or gap.
Table = Mapping[str, Mapping[float, Summary]]
Drawn = Callable[[int], Times]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """The mean latency of `SEGUE` over that of an oracle on the same arrivals: 1 cannot be bettered."""

    online: float
    """Over the best policy that does not know the future."""
    clairvoyant: float
    """Over the best schedule for these very arrivals, `FORESEEN` of them."""


def on_poisson(items: int, seeds: Sequence[int]) -> Table:
    """By policy, with `BEST` among them, then by load."""
    table = {
        name: {load: _summary(policy, _poisson(load, items), seeds) for load in LOADS}
        for name, policy in POLICIES.items()
    }
    return {**table, BEST: {load: _summary(_best(load), _poisson(load, items), seeds) for load in LOADS}}


def on_bursts(items: int, seeds: Sequence[int]) -> Mapping[float, Table]:
    """By load, then by policy, then by gap."""
    return {
        load: {
            name: {gap: _summary(policy, _bursts(load, gap, items), seeds) for gap in BURST_GAPS}
            for name, policy in POLICIES.items()
        }
        for load in BURST_LOADS
    }


def distances(items: int, seeds: Sequence[int]) -> Mapping[str, Mapping[float, Distance]]:
    """By the keys of `COSTS`, then by load."""
    return {
        ratio: {load: _distance(load, cost, items, seeds) for load in LOADS} for ratio, cost in COSTS.items()
    }


def burst_distances(_items: int, seeds: Sequence[int]) -> Mapping[float, Mapping[float, float]]:
    """Over the clairvoyant schedule: by load, then by gap."""
    return {
        load: {gap: _over_clairvoyant(_bursts(load, gap, FORESEEN), WHISPER, seeds) for gap in BURST_GAPS}
        for load in BURST_LOADS
    }


def after_congestion(_items: int, _seeds: Sequence[int]) -> Mapping[str, float]:
    """Mean latency of the first `QUIET` requests in seconds, by policy."""
    return {name: _after_congestion(POLICIES[name]) for name in (SEGUE, BENTOML)}


def estimates(_items: int, _seeds: Sequence[int]) -> Mapping[str, Errors]:
    """How well durations are predicted, by scenario."""
    return {name: compare(scenario, range(REPEATED)) for name, scenario in SCENARIOS.items()}


def _summary(policy: Callable[[], Policy], drawn: Drawn, seeds: Sequence[int]) -> Summary:
    return summary_of([simulate(policy(), as_items(drawn(seed)), WHISPER) for seed in seeds])


def _distance(load: float, cost: Linear, items: int, seeds: Sequence[int]) -> Distance:
    return Distance(
        online=_mean(POLICIES[SEGUE], _poisson(load, items, cost), cost, seeds)
        / _mean(_best(load, cost), _poisson(load, items, cost), cost, seeds),
        clairvoyant=_over_clairvoyant(_poisson(load, FORESEEN, cost), cost, seeds),
    )


def _over_clairvoyant(drawn: Drawn, cost: Linear, seeds: Sequence[int]) -> float:
    least = np.mean([least_mean_latency(drawn(seed), cost, LARGEST) for seed in seeds])
    return _mean(POLICIES[SEGUE], drawn, cost, seeds) / float(least)


def _mean(policy: Callable[[], Policy], drawn: Drawn, cost: Linear, seeds: Sequence[int]) -> float:
    """Mean latency over whole runs: the oracles, too, begin with an empty queue."""
    runs = [simulate(policy(), as_items(drawn(seed)), cost) for seed in seeds]
    return float(np.mean([run.latencies.mean() for run in runs]))


def _after_congestion(policy: Callable[[], Policy]) -> float:
    rate = CONGESTED_LOAD * WHISPER.capacity(LARGEST)
    means = []
    for seed in range(REPEATED):
        busy = poisson(rate, int(rate * CONGESTED), seed)
        quiet = busy[-1] + poisson(QUIET_RATE, QUIET, seed + REPEATED)
        run = simulate(policy(), as_items(np.concatenate([busy, quiet])), WHISPER)
        means.append(run.latencies[-QUIET:].mean())
    return float(np.mean(means))


def _best(load: float, cost: Linear = WHISPER) -> Callable[[], Policy]:
    answer = best_policy(load * cost.capacity(LARGEST), cost, LARGEST)
    return lambda: Tabled(LARGEST, answer)


def _poisson(load: float, items: int, cost: Linear = WHISPER) -> Drawn:
    return lambda seed: poisson(load * cost.capacity(LARGEST), items, seed)


def _bursts(load: float, gap: float, items: int) -> Drawn:
    return lambda seed: bursts(load * WHISPER.capacity(LARGEST), items, seed, gap=gap)
