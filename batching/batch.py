"""Items that run together, and why the batch was closed."""

from dataclasses import dataclass
from enum import StrEnum

from batching.item import Item


class Reason(StrEnum):
    """Why a batch was closed with the members it has."""

    FULL = "full"
    """As many items as a batch may hold."""
    URGENT = "urgent"
    """An urgent item waited."""
    ENOUGH = "enough"
    """`min_batch_size` items waited."""
    WINDOW = "window"
    """The oldest item had waited for the whole window."""
    ALONE = "alone"
    """The item runs by itself: batching is off, or it is under suspicion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Items for one engine call, in the order in which they were filled in."""

    items: tuple[Item, ...]
    reason: Reason
    closed_at: float

    @property
    def cost(self) -> float:
        """Seconds of audio in all."""
        return sum(item.cost for item in self.items)

    def __len__(self) -> int:
        return len(self.items)
