"""A pipeline of two stages that hands on whole batches: members are bound before their audio is decoded."""

from __future__ import annotations

from collections import deque

from batching.item import Item
from bench.simulation.cost import InWaves
from bench.simulation.policy import Members


class StagePipeline:
    """One batch is bound ahead: it is decoded, and waits decoded, while the engine runs another."""

    def __init__(self, largest: int, decoding: InWaves) -> None:
        self._largest = largest
        self._decoding = decoding
        self._queue: deque[Item] = deque()
        self._bound: Members = ()
        self._ready_at = 0.0

    def add(self, item: Item) -> None:
        """It waits; if nothing is being decoded, it is by itself the next batch."""
        self._queue.append(item)
        if not self._bound:
            self._bind(item.enqueued_at)

    def take(self, now: float, /) -> Members:
        """The batch that is decoded, and those that wait are bound to the next."""
        if not self._bound or now < self._ready_at:
            return ()
        members = self._bound
        self._bind(now)
        return members

    def wake_at(self) -> float | None:
        """When the batch at the first stage is decoded."""
        return self._ready_at if self._bound else None

    def ran(self, members: Members, started_at: float, ended_at: float, /) -> None:
        """Nothing is learnt from it."""

    def _bind(self, now: float) -> None:
        size = min(len(self._queue), self._largest)
        self._bound = tuple(self._queue.popleft() for _ in range(size))
        self._ready_at = now + self._decoding.of_size(size)
