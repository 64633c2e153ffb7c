"""What the simulator asks of a policy, and the shipped batcher behind those questions."""

from __future__ import annotations

from typing import Protocol

from batching.batcher import Batcher
from batching.item import Item
from batching.limits import Limits

Members = tuple[Item, ...]


class Policy(Protocol):
    """Decides which items run together, and when. All times are in simulated seconds."""

    def add(self, item: Item) -> None:
        """`item` was enqueued, at `item.enqueued_at`, whether or not the engine runs."""
        ...

    def take(self, now: float, /) -> Members:
        """The batch that the free engine runs now; empty to leave it idle."""
        ...

    def wake_at(self) -> float | None:
        """When to ask again if nothing else arrives; None if nothing waits. Asked after an empty `take`."""
        ...

    def ran(self, members: Members, started_at: float, ended_at: float, /) -> None:
        """The batch has run, and the engine is free again."""
        ...


class Shipped:
    """The batcher of the worker itself, with the settings of the worker."""

    def __init__(self, largest: int, *, smallest: int = 1, window: float = 0.0) -> None:
        limits = Limits(max_batch_size=largest, min_batch_size=smallest, max_batch_wait=window)
        self._batcher = Batcher(limits)

    def add(self, item: Item) -> None:
        """It waits in the batcher."""
        self._batcher.add(item)

    def wake_at(self) -> float | None:
        """When the batcher would start something without further items."""
        return self._batcher.wake_at()

    def take(self, now: float, /) -> Members:
        """What the batcher gives a free engine."""
        batch = self._batcher.take(now)
        return batch.items if batch else ()

    def ran(self, members: Members, started_at: float, ended_at: float, /) -> None:
        """Nothing is learnt from it yet."""
