"""Requests that are worth something only in time: the share that is, at loads up to more than fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from batching.item import Item
from bench.simulation.arrivals import as_items, poisson
from bench.simulation.contest import LARGEST, WHISPER
from bench.simulation.peers.bentoml import BentoML
from bench.simulation.peers.deadlines import Clipper, Nexus, TritonReject, deadline
from bench.simulation.peers.waiting import Triton
from bench.simulation.policy import Policy, Shipped, calibration
from bench.simulation.simulator import simulate
from bench.simulation.summary import WARM_UP

LOADS = (0.7, 0.95, 1.1, 1.5)

#: Seconds that a request may take; where there are several, each request draws one.
ALIKE, MIXED = "0.5 s", "0.4 s or 3 s"
OBJECTIVES: Mapping[str, tuple[float, ...]] = {ALIKE: (0.5,), MIXED: (0.4, 3.0)}

SEGUE, FIFO, REJECT = "Segue", "first come first served", "Triton, REJECT"
CORK_SHORT, CORK_LONG = "BentoML, the shorter", "BentoML, the longer"
CLIPPER, NEXUS = "Clipper", "Nexus' early drop"


class Shedding(Policy, Protocol):
    """A policy that may give items up."""

    @property
    def shed(self) -> Sequence[Item]:
        """Those that it gave up so far."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What became of the requests of one policy at one load."""

    in_time: float
    """Share that ended by its deadline: goodput."""
    shed: float
    """Share that never ran."""


class NeverSheds:
    """Nothing is given up: what is late is run all the same."""

    shed: Sequence[Item] = ()


class LateRuns(NeverSheds, Shipped):
    """The shipped batcher: what cannot be in time any more goes behind what can."""


class InOrder(NeverSheds, Triton):
    """First come first served, whatever the deadlines."""


#: By name, from the objectives. BentoML has one `max_latency` for all, so it is shown with either.
POLICIES: Mapping[str, Callable[[Sequence[float]], Shedding]] = {
    SEGUE: lambda _: LateRuns(LARGEST, calibration=calibration(WHISPER, LARGEST)),
    FIFO: lambda _: InOrder(LARGEST, 0.0),
    REJECT: lambda _: TritonReject(LARGEST),
    CORK_SHORT: lambda objectives: BentoML(LARGEST, min(objectives)),
    CORK_LONG: lambda objectives: BentoML(LARGEST, max(objectives)),
    CLIPPER: lambda objectives: Clipper(LARGEST, min(objectives)),
    NEXUS: lambda _: Nexus(LARGEST, WHISPER),
}

#: By the keys of `OBJECTIVES`, then by policy, then by load.
ByObjectives = Mapping[str, Mapping[str, Mapping[float, Served]]]


def study(items: int, seeds: Sequence[int]) -> ByObjectives:
    """Independent requests, `items` for each policy, load and seed."""
    return {
        name: {
            policy: {load: _served(make, objectives, load, items, seeds) for load in LOADS}
            for policy, make in POLICIES.items()
        }
        for name, objectives in OBJECTIVES.items()
    }


def _served(
    make: Callable[[Sequence[float]], Shedding],
    objectives: Sequence[float],
    load: float,
    items: int,
    seeds: Sequence[int],
) -> Served:
    each = [served(make(objectives), hurried(objectives, load, items, seed)) for seed in seeds]
    in_time = float(np.mean([one.in_time for one in each]))
    return Served(in_time=in_time, shed=float(np.mean([one.shed for one in each])))


def served(policy: Shedding, items: Sequence[Item]) -> Served:
    """One simulation, without its first tenth."""
    run = simulate(policy, items, WHISPER, shed=policy.shed)
    counted = slice(int(WARM_UP * len(items)), None)
    in_time = run.ended_at <= np.array([deadline(item) for item in items])
    return Served(in_time=float(in_time[counted].mean()), shed=float(np.isnan(run.ended_at[counted]).mean()))


def hurried(objectives: Sequence[float], load: float, items: int, seed: int) -> Sequence[Item]:
    """Independent requests, each with a deadline."""
    drawn = np.random.default_rng(seed).choice(objectives, items).tolist()
    coming = as_items(poisson(load * WHISPER.capacity(LARGEST), items, seed))
    return [
        replace(item, deadline_at=item.enqueued_at + allowed)
        for item, allowed in zip(coming, drawn, strict=True)
    ]
