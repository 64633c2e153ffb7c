"""One tenant sends more than its share, four others little: what each gets, and how long the four wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from batching.item import Item
from bench.simulation.arrivals import Times, as_items, poisson
from bench.simulation.contest import LARGEST, WHISPER
from bench.simulation.peers.waiting import Triton
from bench.simulation.policy import Policy, Seeing, Shipped, calibration
from bench.simulation.simulator import simulate

#: What the greedy tenant sends, over the capacity in full batches; with all five it is 0.9 and 1.5.
LOADS = (0.5, 1.1)

GREEDY, MODEST = "greedy", ("a", "b", "c", "d")

#: What each of the modest sends, over the capacity.
MODEST_LOAD = 0.1

SEGUE, TWO_SEEN, FIFO = "Segue", "Segue, two batches seen", "first come first served"

POLICIES: Mapping[str, Callable[[], Policy]] = {
    SEGUE: lambda: Shipped(LARGEST, calibration=calibration(WHISPER, LARGEST)),
    TWO_SEEN: lambda: Seeing(LARGEST, 2 * LARGEST, calibration=calibration(WHISPER, LARGEST)),
    FIFO: lambda: Triton(LARGEST, 0.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """What tenants of equal weight got while all of them sent."""

    jain: float
    """Jain's index of what each got, over its max-min fair share: 1 is fair, 0.2 is one tenant alone."""
    modest_mean: float
    """Seconds, from enqueued to the end of the batch."""
    modest_p99: float


#: By policy, then by the load of the greedy.
ByTenants = Mapping[str, Mapping[float, Fairness]]


def study(items: int, seeds: Sequence[int]) -> ByTenants:
    """Independent requests, `items` of all tenants for each policy, load and seed."""
    return {
        name: {load: _fairness(policy, load, items, seeds) for load in LOADS}
        for name, policy in POLICIES.items()
    }


def _fairness(policy: Callable[[], Policy], greedy: float, items: int, seeds: Sequence[int]) -> Fairness:
    each = [_of_one(policy(), sent(greedy, items, seed), greedy) for seed in seeds]
    latencies = np.concatenate([modest for _, modest in each])
    return Fairness(
        jain=float(np.mean([index for index, _ in each])),
        modest_mean=float(latencies.mean()),
        modest_p99=float(np.quantile(latencies, 0.99)),
    )


def _of_one(policy: Policy, items: Sequence[Item], greedy: float) -> tuple[float, Times]:
    """Jain's index, and the latencies of the modest."""
    run = simulate(policy, items, WHISPER)
    tenants = np.array([item.tenant for item in items])
    served = run.ended_at <= run.enqueued_at[-1]
    got = np.array([served[tenants == name].sum() for name in (GREEDY, *MODEST)])
    fair = fair_shares(np.array([greedy, *([MODEST_LOAD] * len(MODEST))]))
    return jain(got / fair), run.latencies[tenants != GREEDY]


def sent(greedy: float, items: int, seed: int) -> Sequence[Item]:
    """Independent requests of all tenants."""
    load = greedy + MODEST_LOAD * len(MODEST)
    shares = [greedy / load, *([MODEST_LOAD / load] * len(MODEST))]
    tenants = np.random.default_rng(seed).choice([GREEDY, *MODEST], items, p=shares).tolist()
    coming = as_items(poisson(load * WHISPER.capacity(LARGEST), items, seed))
    return [replace(item, tenant=tenant) for item, tenant in zip(coming, tenants, strict=True)]


def fair_shares(demands: Times) -> Times:
    """Max-min fair shares of a capacity of 1: nobody gets more by taking from one who has less."""
    shares = np.zeros_like(demands)
    left = 1.0
    for place, tenant in enumerate(np.argsort(demands)):
        shares[tenant] = min(demands[tenant], left / (len(demands) - place))
        left -= shares[tenant]
    return shares


def jain(got: Times) -> float:
    """1 if all are equal, 1/n if one has everything."""
    return float(got.sum() ** 2 / (len(got) * (got**2).sum()))
