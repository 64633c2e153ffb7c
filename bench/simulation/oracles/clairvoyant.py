"""The least mean latency for arrivals that are all known beforehand: no policy whatever can do better.

Items are alike, so an optimal schedule runs them in the order in which they come, and starts each batch at
once when its last member is there and the engine is free. What is left to choose is where to cut. That is
solved exactly: for each number of items served, every pair of (end, sum of latencies) that no other beats.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.simulation.arrivals import Times
from bench.simulation.cost import Linear

#: Pairs of (end, sum of latencies), rising in the first and falling in the second: shape `[2, n_pairs]`.
Front = npt.NDArray[np.float64]


def least_mean_latency(enqueued_at: Times, cost: Linear, largest: int) -> float:
    """Seconds; `enqueued_at` rises, shape `[n_items]`. Takes about half a millisecond for each item."""
    count = len(enqueued_at)
    before = np.concatenate([[0.0], np.cumsum(enqueued_at)])
    fronts: list[Front] = [np.zeros((2, 1))]
    for served in range(1, count + 1):
        reached = [
            _after_batch(
                fronts[served - size],
                size,
                enqueued_at[served - 1],
                before[served] - before[served - size],
                cost,
            )
            for size in range(1, min(largest, served) + 1)
        ]
        fronts.append(_unbeaten(np.concatenate(reached, axis=1)))
    return float(fronts[count][1, -1]) / count


def _after_batch(front: Front, size: int, last_at: float, sum_of_arrivals: float, cost: Linear) -> Front:
    """The pairs after a batch of `size` more items, the last enqueued at `last_at`."""
    ends = np.maximum(front[0], last_at) + cost.of_size(size)
    return np.stack([ends, front[1] + size * ends - sum_of_arrivals])


def _unbeaten(pairs: Front) -> Front:
    """Those that no other pair beats in both."""
    order = np.lexsort((pairs[1], pairs[0]))
    ends, sums = pairs[0, order], pairs[1, order]
    least_before = np.concatenate([[np.inf], np.minimum.accumulate(sums)[:-1]])
    return np.stack([ends, sums])[:, sums < least_before]
