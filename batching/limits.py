"""How far a batch may grow and wait, and how its size follows the device's memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from batching.memory import MemoryModel

#: Clean batches after which a size cut by an out-of-memory grows by one again. Slow on purpose: every
#: further out-of-memory costs a failed engine call (additive increase, multiplicative decrease).
CLEAN_BATCHES_TO_GROW = 50

#: Keys whose cut sizes are kept; the one that was cut longest ago is forgotten first. Options make keys, and
#: a caller may send any number of them.
MOST_CUT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a batch may grow, and how long it may wait for company.

    `min_batch_size == max_batch_size` is the classic fixed window; `min_batch_size == 1` never waits
    on a free engine; `max_batch_size == 1` runs one by one.
    """

    max_batch_size: int = 8
    min_batch_size: int = 2
    max_batch_wait: float = 0.1
    """The window in seconds, counted from when the oldest item was enqueued: nothing is held for longer."""
    max_batch_seconds: float = float("inf")
    """Padded audio in a batch: its size times its longest item. A longer item runs by itself."""
    urgent_seconds: float = float("inf")
    """How long a batch with an urgent item should take at most, as far as the load allows."""
    tenant_weights: Mapping[str, float] = field(default_factory=dict)
    """What each tenant's share of the engine counts for; 1 unless named."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_batch_size <= self.max_batch_size:
            raise ValueError(
                f"min_batch_size is {self.min_batch_size}: expected 1 to max_batch_size {self.max_batch_size}"
            )
        if self.max_batch_wait < 0:
            raise ValueError(f"max_batch_wait is {self.max_batch_wait} s: expected 0 or more")
        for name in ("max_batch_seconds", "urgent_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)} s: expected more than 0")
        for tenant, weight in self.tenant_weights.items():
            if not 0 < weight < float("inf"):
                raise ValueError(f"weight of tenant {tenant!r} is {weight}: expected more than 0, and finite")


class SizeCap:
    """The largest batch that memory seems to allow, for each key: halved by an out-of-memory, regrown slowly,
    and never more than `memory` knows to fit.

    What must not share a batch need not take the same memory: a beam of five decodes five times as many rows
    as a beam of one. Not thread-safe.
    """

    def __init__(self, max_batch_size: int) -> None:
        self._ceiling = max_batch_size
        #: Of those keys that are below the ceiling; the one that was cut longest ago comes first.
        self._cut: OrderedDict[Hashable, _Cut] = OrderedDict()
        self.memory = MemoryModel()
        self.size = max_batch_size
        """Of the key that ran last: the best guess for the next."""

    def of(self, key: Hashable, longest: float = 0.0) -> int:
        """The largest batch of this key with items of up to `longest` seconds of audio."""
        cut = self._cut[key].size if key in self._cut else self._ceiling
        return int(min(cut, self.memory.most(key, longest)))

    def shrink(self, key: Hashable, failed_size: int) -> None:
        """A batch of `failed_size` did not fit."""
        cut = self._cut[key].size if key in self._cut else self._ceiling
        self._cut[key] = _Cut(max(1, min(cut, failed_size // 2)))
        self._cut.move_to_end(key)
        if len(self._cut) > MOST_CUT:
            self._cut.popitem(last=False)
        self.size = self.of(key)

    def ran_clean(self, key: Hashable) -> None:
        """A batch ran without running out of memory."""
        if key in self._cut:
            self._grow(key, self._cut[key])
        self.size = self.of(key)

    def _grow(self, key: Hashable, cut: _Cut) -> None:
        cut.clean += 1
        if cut.clean >= CLEAN_BATCHES_TO_GROW:
            cut.size, cut.clean = cut.size + 1, 0
        if cut.size >= self._ceiling:
            del self._cut[key]


@dataclass(slots=True)
class _Cut:
    """A size that memory has cut, and the batches that ran clean with it since it changed."""

    size: int
    clean: int = 0
