"""Everything that `segue bench policy` simulates, spread over the processors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from bench.simulation.deciding import Deciding, deciding
from bench.simulation.estimation import Errors
from bench.simulation.studies import deadlines, engines, equal, lengths, overlap, tenants, urgent
from bench.simulation.studies.deadlines import ByObjectives
from bench.simulation.studies.engines import ByEngines
from bench.simulation.studies.equal import Distance, Table
from bench.simulation.studies.tenants import ByTenants
from bench.simulation.studies.urgent import ByClass

#: One question each, the longest first, so that no processor is idle at the end; given items, and seeds.
PARTS: Mapping[str, Callable[[int, Sequence[int]], Any]] = {
    "distances": equal.distances,
    "engines": engines.study,
    "lengths": lengths.study,
    "poisson": equal.on_poisson,
    "bursts": equal.on_bursts,
    "deadlines": deadlines.study,
    "tenants": tenants.study,
    "urgent": urgent.study,
    "burst_distances": equal.burst_distances,
    "overlap": overlap.study,
    "after_congestion": equal.after_congestion,
    "estimates": equal.estimates,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All results, and what they were got from. Each is described where it is simulated."""

    items: int
    """In each simulation."""
    seeds: Sequence[int]
    poisson: Table
    distances: Mapping[str, Mapping[float, Distance]]
    bursts: Mapping[float, Table]
    burst_distances: Mapping[float, Mapping[float, float]]
    after_congestion: Mapping[str, float]
    estimates: Mapping[str, Errors]
    lengths: Table
    deadlines: ByObjectives
    urgent: ByClass
    tenants: ByTenants
    engines: ByEngines
    overlap: Table
    deciding: Deciding
    """Of this machine, in real time: the only figures that another run does not repeat."""


def study(items: int, seeds: Sequence[int], told: Callable[[str], None]) -> Study:
    """Simulate everything, `items` for each policy, load and seed; `told` hears how far it is."""
    found: dict[str, Any] = {}
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        coming = {pool.submit(part, items, seeds): name for name, part in PARTS.items()}
        told(f"{len(PARTS)} studies")
        for ended in as_completed(coming):
            found[coming[ended]] = ended.result()
            told(f"{len(PARTS) - len(found)} of {len(PARTS)} studies to go")
    told("how long a decision takes")
    return Study(items=items, seeds=seeds, deciding=deciding(), **found)
