"""Items that run together, and why the batch was closed."""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum

from batching.item import Item


class Reason(StrEnum):
    """Why a batch was closed with the members it has."""

    FULL = "full"
    """As many items as a batch may hold."""
    MEMORY = "memory"
    """As many as memory allows for its key, by what earlier batches took or did not fit into."""
    SECONDS = "seconds"
    """One more would have exceeded `max_batch_seconds`."""
    URGENT = "urgent"
    """An urgent item waited."""
    PROBE = "probe"
    """Kept to half, to learn what sizes cost: all batches so far were of one size."""
    CALM = "calm"
    """Kept short, for urgent items that may come meanwhile."""
    DEADLINE = "deadline"
    """Others were left behind so that these end in time."""
    LENGTHS = "lengths"
    """Others were left behind because their lengths are not alike."""
    TURN = "turn"
    """The oldest had been left behind for long enough."""
    ENOUGH = "enough"
    """`min_batch_size` items waited."""
    BURST = "burst"
    """It was held for the rest of a burst, which came or did not."""
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
    predicted: float | None = None
    """Seconds that the engine should take for it; None if nothing is known yet."""

    @property
    def key(self) -> Hashable:
        """What the members share."""
        return self.items[0].key

    @property
    def longest(self) -> float:
        """Seconds of audio of the longest member."""
        return max(item.cost for item in self.items)

    @property
    def padded(self) -> float:
        """Seconds of audio if each is padded to the longest."""
        return len(self.items) * self.longest

    @property
    def cost(self) -> float:
        """Seconds of audio in all."""
        return sum(item.cost for item in self.items)

    def __len__(self) -> int:
        return len(self.items)
