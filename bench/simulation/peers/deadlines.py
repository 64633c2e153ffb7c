"""What others do about deadlines: reject what waited too long, shrink batches, or drop early."""

from __future__ import annotations

from bisect import insort
from collections import deque

from batching.item import Item
from bench.simulation.cost import Linear
from bench.simulation.peers.waiting import Waiting
from bench.simulation.policy import Members

#: Clipper's additive increase in items, and its multiplicative decrease.
INCREASE, DECREASE = 1, 0.9


def deadline(item: Item) -> float:
    """When it should have ended; infinity if nobody said."""
    return float("inf") if item.deadline_at is None else item.deadline_at


class TritonReject(Waiting):
    """Triton with `timeout_action: REJECT`: what has waited until its deadline is rejected, all else is FIFO.

    Its time-out ends a wait, not a request: what starts in time may end too late.
    """

    def __init__(self, largest: int) -> None:
        super().__init__(largest)
        self.shed: list[Item] = []

    def take(self, now: float, /) -> Members:
        """All that wait in time, up to the largest batch."""
        self.shed += [item for item in self.queue if deadline(item) < now]
        self.queue = deque(item for item in self.queue if deadline(item) >= now)
        return self.cut()

    def wake_at(self) -> float | None:
        """Never: what waits runs as soon as the engine is free."""
        return None


class Clipper(Waiting):
    """Clipper: the largest batch grows by one while calls keep within the objective, and shrinks when not."""

    def __init__(self, largest: int, objective: float) -> None:
        super().__init__(largest)
        self._objective = objective
        self._ceiling = largest
        self._size = 1.0
        self.shed: list[Item] = []

    def take(self, _now: float, /) -> Members:
        """All that wait, up to the size that it has learnt."""
        self.largest = int(self._size)
        return self.cut()

    def wake_at(self) -> float | None:
        """Never: what waits runs as soon as the engine is free."""
        return None

    def ran(self, members: Members, started_at: float, ended_at: float, /) -> None:
        """Grow after a full batch within the objective, shrink after one beyond."""
        if ended_at - started_at > self._objective:
            self._size = max(1.0, self._size * DECREASE)
        elif len(members) == self.largest:
            self._size = min(float(self._ceiling), self._size + INCREASE)


class Nexus:
    """Nexus' early drop: the first of those that wait are dropped until a full batch begins in time.

    It is told the true duration of every batch.
    """

    def __init__(self, largest: int, cost: Linear) -> None:
        self._largest = largest
        self._cost = cost
        self._queue: list[Item] = []
        self.shed: list[Item] = []

    def add(self, item: Item) -> None:
        """It waits by its deadline."""
        insort(self._queue, item, key=deadline)

    def take(self, now: float, /) -> Members:
        """The first batch, as large as what waits allows, that its first member can still afford."""
        first = self._first_in_time(now)
        self.shed += self._queue[:first]
        members = tuple(self._queue[first : first + self._largest])
        del self._queue[: first + len(members)]
        return members

    def wake_at(self) -> float | None:
        """Never: what waits runs as soon as the engine is free."""
        return None

    def ran(self, members: Members, started_at: float, ended_at: float, /) -> None:
        """Nothing is learnt from it."""

    def _first_in_time(self, now: float) -> int:
        count = len(self._queue)
        for first, item in enumerate(self._queue):
            size = min(self._largest, count - first)
            if now + self._cost.of_size(size) <= deadline(item):
                return first
        return count
