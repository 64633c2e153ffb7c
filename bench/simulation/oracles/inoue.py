"""The closed bound on mean latency when a free engine takes all that wait, however many.

Inoue, "Queueing analysis of GPU-based inference servers with dynamic batching" (arXiv 1912.06322): Poisson
arrivals, batches without limit, a time linear in their size.
"""

from __future__ import annotations

from bench.simulation.cost import Linear


def latency_bound(rate: float, cost: Linear) -> float:
    """Seconds that the mean latency does not exceed, at `rate` requests a second.

    Raises `ValueError` where no batch size keeps up: `rate · cost.each` is 1 or more.
    """
    load, base, each = rate * cost.each, cost.base, cost.each
    if load >= 1:
        raise ValueError(f"rate is {rate}/s: expected below {1 / each}/s, which no batch size serves")
    light = (each + base) / (2 * (1 - load)) * (1 + 2 * rate * base + (1 - rate * base) / (1 + load))
    heavy = 1.5 * base / (1 - load) + each * (load + 2) / (2 * (1 - load**2))
    return min(light, heavy)
