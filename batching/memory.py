"""How many items fit into the memory that is free, by what earlier batches took of it.

    bytes = each · size,   each · longest / known if the longest item is longer than any that is known

1. What an item takes is learnt from the largest batch of its key so far: what a call takes by itself, however
   small it is, then counts least.
2. A batch takes at most `SHARE` of what was free after the batch before: others use the device, too.
3. A key of which nothing is known is not limited: a cap that is learnt from an out-of-memory remains
   (`limits.SizeCap`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

#: The part of the free memory that a batch may take: the rest is for what the model does not see.
SHARE = 0.9

#: Keys of which is remembered what they take; the one that ran longest ago is forgotten first.
MOST_KEYS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What one batch took of the device's memory, and what there is for the next: bytes."""

    taken: int | None
    """Beside the weights; None if it took no more than earlier ones had left behind for it."""
    free: int
    """What a batch could take, beside the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What the largest batch of a key took."""

    size: int
    longest: float
    each: float


class MemoryModel:
    """What is known of one device. Not thread-safe."""

    def __init__(self) -> None:
        self.free: int | None = None
        """Bytes for the next batch, as of the latest; None before the first."""
        self._taken: OrderedDict[Hashable, _Taken] = OrderedDict()

    def ran(self, key: Hashable, memory: Memory, *, size: int, longest: float) -> None:
        """A batch of `size` items of this key ran, the longest of which had `longest` seconds of audio."""
        self.free = memory.free
        known = self._taken.get(key)
        if memory.taken is not None and (known is None or size >= known.size):
            seen = max(longest, known.longest if known is not None else 0.0)
            self._taken[key] = _Taken(size=size, longest=seen, each=memory.taken / size)
            self._taken.move_to_end(key)
        if len(self._taken) > MOST_KEYS:
            self._taken.popitem(last=False)

    def most(self, key: Hashable, longest: float = 0.0) -> float:
        """How many items of up to `longest` seconds should fit: whole, at least one, or infinite."""
        known = self._taken.get(key)
        if known is None or self.free is None or known.each <= 0:
            return float("inf")
        longer = max(1.0, longest / known.longest) if known.longest > 0 else 1.0
        return max(1.0, SHARE * self.free // (known.each * longer))
