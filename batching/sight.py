"""What should be taken of items that wait elsewhere, by whoever sees more of them than it takes.

1. They are taken in order where nothing is lost by that: if all that are seen may be taken, or if nothing
   tells them apart, neither keys, lengths, tenants nor deadlines.
2. Else the batcher says which of them it would run next if all waited here. Only these are taken: the others
   stay where anybody may run them.
3. If the batch that it would run next is here already, nothing is taken.
4. The first of them is left behind at most `MOST_PASSED_BY` times in a row, whatever comes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from batching.batcher import Batcher
from batching.item import Item
from batching.members import MOST_PASSED_BY


class Sight:
    """The choices of one batcher, and who has been left behind by them. Not thread-safe."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._first: Hashable = None
        self._passed_by = 0

    def pays(self, seen: Sequence[Item], room: int) -> bool:
        """Whether it matters which are taken of those that are `seen`, if `room` may be taken (rule 1)."""
        return len(seen) > room and self._batcher.tells_apart(seen)

    def choose(self, seen: Sequence[Item], room: int, at: float) -> list[Item] | None:
        """Which of those to take for an engine that is free at `at`, at most `room`; None to take in order.

        `seen` are those that wait elsewhere, the next in order first. The first of those that are returned
        may be taken alone.
        """
        if not self.pays(seen, room):
            return None
        self._batcher.elsewhere = len(seen) - room
        chosen = self._batcher.among(seen, at)
        if chosen is None or self._leaves_behind(seen[0], chosen):
            return None
        if chosen:
            return chosen[:room]
        wake_at = self._batcher.wake_at()
        return [] if wake_at is not None and wake_at <= at else None

    def _leaves_behind(self, first: Item, chosen: Sequence[Item]) -> bool:
        """Whether the first has been left behind too often; it is counted."""
        if first.id != self._first or first in chosen:
            self._passed_by = 0
        self._first = first.id
        self._passed_by += first not in chosen
        return self._passed_by > MOST_PASSED_BY
