"""How long the simulated engine takes for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from batching.item import Item


class Cost(Protocol):
    """The time that an engine call takes."""

    def seconds(self, items: Sequence[Item]) -> float:
        """Seconds for one batch of these items, at least one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """Lengths do not matter: `base` for the call and `each` for every item, in seconds.

    The defaults are Whisper large-v3 on a public log of 1 to 32 concurrent requests (sgl-omni issue 1888:
    9.7 to 48 requests a second).
    """

    base: float = 0.084
    each: float = 0.018

    def of_size(self, size: int) -> float:
        """Seconds for a batch of `size` items."""
        return self.base + self.each * size

    def seconds(self, items: Sequence[Item]) -> float:
        """Seconds for one batch of these items."""
        return self.base + self.each * len(items)

    def capacity(self, largest: int) -> float:
        """Requests a second in full batches of `largest`."""
        return largest / self.of_size(largest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Padded:
    """Every item is padded to the longest of its batch; seconds, and seconds for each second of audio.

    The defaults are an assumption, measured on no device: a Whisper whose decoding follows its longest item.
    """

    base: float = 0.040
    each: float = 0.008
    longest: float = 0.011
    padded: float = 0.0002

    def seconds(self, items: Sequence[Item]) -> float:
        """Seconds for one batch of these items."""
        size, longest = len(items), max(item.cost for item in items)
        return self.base + self.each * size + self.longest * longest + self.padded * size * longest

    def capacity(self, items: Sequence[Item], largest: int) -> float:
        """Requests a second in full batches of `largest`, first come first served."""
        batches = [items[first : first + largest] for first in range(0, len(items), largest)]
        return len(items) / sum(self.seconds(batch) for batch in batches)


@dataclass(frozen=True, slots=True, kw_only=True)
class InWaves:
    """What is done to each item by itself before the engine call, such as decoding, on several threads."""

    each: float
    """Seconds for one item on one thread."""
    threads: int

    def of_size(self, size: int) -> float:
        """Seconds until all of `size` items are done that begin together."""
        return self.each * ceil(size / self.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serial:
    """A handler that prepares its batch and then runs it: the engine is idle meanwhile."""

    before: InWaves
    engine: Linear

    def seconds(self, items: Sequence[Item]) -> float:
        """Seconds for one batch of these items."""
        return self.before.of_size(len(items)) + self.engine.of_size(len(items))
