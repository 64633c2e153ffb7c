"""BentoML's adaptive dispatcher (CORK): it waits for company as long as batches waited lately."""

from __future__ import annotations

from collections import deque
from math import ceil

import numpy as np

from batching.item import Item
from bench.simulation.peers.waiting import Waiting
from bench.simulation.policy import Members

#: Its constants: seconds between two looks at the queue, how much of the learnt wait it uses, batches it
#: remembers, seconds between two fits, and batches it ignores after the start.
TICK = 0.001
DECAY = 0.95
REMEMBERED = 50
REFIT_EVERY = 5.0
IGNORED_AT_FIRST = 2

#: Its default `max_latency`, in seconds.
MAX_LATENCY = 60.0


def least_squares(sizes: list[int], seconds: list[float]) -> tuple[float, float]:
    """Its estimator: seconds for each item and for the call, the solution of least norm, clipped at 0."""
    rows = np.array([(size, 1.0) for size in sizes])
    slope, base = np.linalg.lstsq(rows, np.array(seconds), rcond=None)[0]
    return max(1e-6, float(slope)), max(0.0, float(base))


class BentoML(Waiting):
    """Holds n items while n · (age of the newest + one tick + slope) is below the wait it has learnt.

    The oldest is shed while another waits and it would miss `max_latency` by its estimate, for which n is not
    limited to the largest batch. Left out: its training on the first dozen requests.
    """

    def __init__(self, largest: int, max_latency: float = MAX_LATENCY) -> None:
        super().__init__(largest)
        self._max_latency = max_latency
        # its first guesses, before any fit
        self._slope, self._base = min(2.0, max_latency * 2 / 30), min(1.0, max_latency / 30)
        self._wait = 0.0
        self._seen: deque[tuple[int, float, float]] = deque(maxlen=REMEMBERED)
        self._to_ignore = IGNORED_AT_FIRST
        self._fitted_at = float("-inf")
        self._wake_at = 0.0
        self.shed: list[Item] = []

    def take(self, now: float, /) -> Members:
        """All that wait, unless more are expected soon enough."""
        self._shed_late(now)
        waiting = len(self.queue)
        if not waiting:
            return ()
        hold = DECAY * self._wait / waiting - TICK - self._slope
        left = self.queue[-1].enqueued_at + hold - now
        if waiting >= self.largest or left < 0:
            return self.cut()
        self._wake_at = now + TICK * max(1, ceil(left / TICK))
        return ()

    def wake_at(self) -> float | None:
        """The first tick at which it would no longer hold."""
        return self._wake_at if self.queue else None

    def ran(self, members: Members, started_at: float, ended_at: float, /) -> None:
        """Remember size, duration, and how long the first item waited; fit again now and then."""
        if len(self.queue) == 1 and ended_at - self.queue[0].enqueued_at >= self._max_latency:
            self.shed.append(self.queue.popleft())
        if self._to_ignore:
            self._to_ignore -= 1
            return
        self._seen.append((len(members), ended_at - started_at, started_at - members[0].enqueued_at))
        if ended_at - self._fitted_at >= REFIT_EVERY:
            self._fitted_at = ended_at
            sizes, seconds, waits = zip(*self._seen, strict=True)
            self._slope, self._base = least_squares(list(sizes), list(seconds))
            self._wait = max(0.0, sum(waits) / len(waits))

    def _shed_late(self, now: float) -> None:
        """It looks at each tick, also while the engine runs; what it sheds then, it would shed now too."""
        while len(self.queue) > 1:
            predicted = self._slope * len(self.queue) + self._base
            if now - self.queue[0].enqueued_at + predicted < self._max_latency:
                return
            self.shed.append(self.queue.popleft())
