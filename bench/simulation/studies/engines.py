"""Several engines on one queue: what it costs to claim ahead, and what it gains to share.

Windows and lengths play no part: every worker runs the shipped batcher with a minimum of 1 and no hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.simulation.arrivals import as_items, poisson
from bench.simulation.contest import LARGEST, WHISPER
from bench.simulation.policy import Shipped
from bench.simulation.several import Engines, Pulling
from bench.simulation.simulator import Run
from bench.simulation.summary import Summary, summary_of

COUNTS = (1, 2, 4, 8)
LOADS = (0.2, 0.5, 0.7, 0.9)

SHARE, TAKE_ALL = "Segue: its share", "on demand, all that fit"
PREFETCH_DEFAULT = "Celery, 64 ahead"
ONE_FIRST = "64 ahead, one worker first"

#: How messages are claimed. Celery's default holds four for each of 16 slots ahead.
PULLINGS: Mapping[str, Pulling] = {
    SHARE: Pulling(shares=True),
    TAKE_ALL: Pulling(),
    "Celery, 4 ahead": Pulling(ahead=4),
    "Celery, 16 ahead": Pulling(ahead=16),
    PREFETCH_DEFAULT: Pulling(ahead=64),
    ONE_FIRST: Pulling(ahead=64, one_first=True),
}

#: By number of engines, then by way of pulling, then by load.
ByEngines = Mapping[int, Mapping[str, Mapping[float, Summary]]]


def study(items: int, seeds: Sequence[int]) -> ByEngines:
    """Independent requests, `items` for each way, load and seed."""
    return {
        count: {
            name: {
                load: summary_of([_run(count, pulling, load, items, seed) for seed in seeds])
                for load in LOADS
            }
            for name, pulling in PULLINGS.items()
        }
        for count in COUNTS
    }


def _run(count: int, pulling: Pulling, load: float, items: int, seed: int) -> Run:
    rate = count * load * WHISPER.capacity(LARGEST)
    engines = Engines(count, lambda: Shipped(LARGEST, window=0.0), WHISPER, pulling, LARGEST)
    return engines.simulate(as_items(poisson(rate, items, seed)))
