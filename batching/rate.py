"""How much comes in a second: a mean over many gaps, begun anew when the latest ones say something else."""

from __future__ import annotations

#: What a gap counts for in the mean, once there were as many: two thousand are remembered. A rate that is
#: a tenth too high says at high load that no small batch keeps up (`urgent`); of five hundred gaps one is
#: now and then.
FADING = 0.0005

#: The same for the latest gaps, a hundred of them, and how far their mean may be off, as a share, before the
#: load has changed: independent arrivals are as far off once in a hundred thousand.
LATELY, CHANGED = 0.01, 0.5

#: Gaps that make a rate: one burst does not.
ENOUGH = 16

#: Seconds that count as no gap at all.
SHORTEST_GAP = 1e-6


class Rate:
    """Learns from every arrival. Times in seconds, on one clock."""

    def __init__(self) -> None:
        self._last_at: float | None = None
        self._came = 0
        self._gaps = 0
        self._mean = 0.0
        self._lately = 0.0

    def came(self, at: float) -> None:
        """One more was enqueued. One older than the last, not claimed in order, counts with the next."""
        if self._last_at is None:
            self._last_at = at
            return
        self._came += 1
        if at >= self._last_at:
            gap, came = (at - self._last_at) / self._came, self._came
            self._last_at, self._came = at, 0
            for _ in range(came):
                self._learn(gap)

    @property
    def per_second(self) -> float:
        """Items in a second, lately; 0 before enough came."""
        return 1 / max(self._mean, SHORTEST_GAP) if self._gaps >= ENOUGH else 0.0

    def _learn(self, gap: float) -> None:
        self._gaps += 1
        self._mean += max(FADING, 1 / self._gaps) * (gap - self._mean)
        self._lately += max(LATELY, 1 / self._gaps) * (gap - self._lately)
        if abs(self._lately - self._mean) > CHANGED * self._mean:
            self._mean, self._gaps = self._lately, round(1 / LATELY)
