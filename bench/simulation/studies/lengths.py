"""Speech of different lengths, padded to the longest of its batch, at loads beyond what FIFO can serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from batching.item import Item
from batching.latency import Ran
from bench.simulation.arrivals import as_items, poisson, speech_lengths
from bench.simulation.contest import BENTOML, LARGEST, POLICIES, SEGUE, SEGUE_WINDOW
from bench.simulation.cost import Padded
from bench.simulation.peers.bound_early import INFINITY_AHEAD, SortedByLength
from bench.simulation.policy import Claiming, Policy, Seeing, Shipped, calibration
from bench.simulation.simulator import simulate
from bench.simulation.summary import Summary, summary_of

#: Over the capacity in full batches first come first served.
LOADS = (0.3, 0.6, 0.8, 0.95, 1.1, 1.3)

#: What a worker sees: two batches as it is shipped, four at most, one if it claims in order
#: (`prepare_ahead: 0`); and on kombu's own transport the two that it holds.
ONE_SEEN, TWO_SEEN = "Segue, one batch seen", "Segue, two batches seen"
FOUR_SEEN, TWO_HELD = "Segue, four batches seen", "Segue, two batches held"
INFINITY, INFINITY_SORT = "infinity", "infinity's sort, bound late"

#: Lengths of the calibration at the start of a worker, in seconds.
CALIBRATED = (1.0, 10.0, 30.0)


def calibrated(largest: int) -> Sequence[Ran]:
    """What the worker measures at its start, on this engine."""
    return calibration(Padded(), largest, CALIBRATED)


def policies() -> Mapping[str, Callable[[], Policy]]:
    """Those of the contest, and those who look at lengths: ours with a calibration for this engine.

    But for BentoML, which gives up whatever has waited for a minute: beyond the capacity that is most of it.
    """
    known = calibrated(LARGEST)
    return {
        **{name: policy for name, policy in POLICIES.items() if name != BENTOML},
        SEGUE: lambda: Shipped(LARGEST, calibration=known),
        SEGUE_WINDOW: lambda: Shipped(LARGEST, smallest=2, calibration=known),
        ONE_SEEN: lambda: Claiming(LARGEST, LARGEST, calibration=known),
        TWO_SEEN: lambda: Seeing(LARGEST, 2 * LARGEST, calibration=known),
        FOUR_SEEN: lambda: Seeing(LARGEST, 4 * LARGEST, calibration=known),
        TWO_HELD: lambda: Claiming(LARGEST, 2 * LARGEST, calibration=known),
        INFINITY: lambda: SortedByLength(LARGEST, INFINITY_AHEAD),
        INFINITY_SORT: lambda: SortedByLength(LARGEST, 0),
    }


def study(items: int, seeds: Sequence[int]) -> Mapping[str, Mapping[float, Summary]]:
    """By policy, then by load: independent requests, `items` for each and seed."""
    return {
        name: {
            load: summary_of([simulate(policy(), speech(load, items, seed), Padded()) for seed in seeds])
            for load in LOADS
        }
        for name, policy in policies().items()
    }


def speech(load: float, items: int, seed: int) -> Sequence[Item]:
    """Independent requests of different lengths."""
    lengths = speech_lengths(items, seed)
    rate = load * Padded().capacity(as_items(np.zeros(items), lengths), LARGEST)
    return as_items(poisson(rate, items, seed), lengths)
