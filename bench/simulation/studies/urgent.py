"""One request in ten is urgent: how soon it is served, and whether the others are served at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from batching.item import URGENT, Item
from bench.simulation.arrivals import as_items, poisson
from bench.simulation.contest import LARGEST, WHISPER
from bench.simulation.peers.priorities import StrictTriton
from bench.simulation.peers.waiting import Triton
from bench.simulation.policy import Policy, Shipped, calibration
from bench.simulation.simulator import simulate
from bench.simulation.summary import Summary, summary_of

LOADS = (0.5, 0.6, 0.7, 0.8, 0.9)

#: Share of the requests that are urgent.
URGENT_SHARE = 0.1

#: The longest that a batch with an urgent member may take, in seconds, where it can be had: 6 of 16 items.
URGENT_SECONDS = 0.2

SEGUE, STRICT, FIFO = "Segue", "Triton, strict levels", "first come first served"

POLICIES: Mapping[str, Callable[[], Policy]] = {
    SEGUE: lambda: Shipped(LARGEST, calibration=calibration(WHISPER, LARGEST), urgent_seconds=URGENT_SECONDS),
    STRICT: lambda: StrictTriton(LARGEST),
    FIFO: lambda: Triton(LARGEST, 0.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """Both classes of one policy at one load."""

    urgent: Summary
    background: Summary


#: By policy, then by load.
ByClass = Mapping[str, Mapping[float, Classes]]


def study(items: int, seeds: Sequence[int]) -> ByClass:
    """Independent requests, `items` for each policy, load and seed."""
    return {
        name: {load: _classes(policy, load, items, seeds) for load in LOADS}
        for name, policy in POLICIES.items()
    }


def _classes(policy: Callable[[], Policy], load: float, items: int, seeds: Sequence[int]) -> Classes:
    runs = [simulate(policy(), mixed(load, items, seed), WHISPER) for seed in seeds]
    urgent = [_is_urgent(items, seed) for seed in seeds]
    pairs = list(zip(runs, urgent, strict=True))
    return Classes(
        urgent=summary_of([run.of(chosen) for run, chosen in pairs]),
        background=summary_of([run.of(~chosen) for run, chosen in pairs]),
    )


def mixed(load: float, items: int, seed: int) -> Sequence[Item]:
    """Independent requests, some of them urgent."""
    coming = as_items(poisson(load * WHISPER.capacity(LARGEST), items, seed))
    urgent = _is_urgent(items, seed).tolist()
    return [replace(item, rank=URGENT) if hurry else item for item, hurry in zip(coming, urgent, strict=True)]


def _is_urgent(items: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.random.default_rng(seed).random(items) < URGENT_SHARE
