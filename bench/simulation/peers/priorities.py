"""Triton with priority levels: the urgent first, and else as with a delay of 0."""

from __future__ import annotations

from collections import deque

from batching.item import Item
from bench.simulation.policy import Members


class StrictTriton:
    """What waits runs when the engine is free, a lower level before a higher, each first come first served.

    Every batch is as full as what waits allows: an urgent item shares it with all others.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._levels: dict[int, deque[Item]] = {}

    def add(self, item: Item) -> None:
        """It waits behind those of its level."""
        self._levels.setdefault(item.rank, deque()).append(item)

    def take(self, _now: float, /) -> Members:
        """Those that wait, the most urgent first, up to the largest batch."""
        waiting = (item for _, level in sorted(self._levels.items()) for item in level)
        members = tuple(item for item, _ in zip(waiting, range(self._largest), strict=False))
        for item in members:
            self._levels[item.rank].popleft()
        return members

    def wake_at(self) -> float | None:
        """Never: what waits runs as soon as the engine is free."""
        return None

    def ran(self, members: Members, started_at: float, ended_at: float, /) -> None:
        """Nothing is learnt from it."""
