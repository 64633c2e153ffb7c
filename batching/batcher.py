"""Given items and the time, says which batch runs next.

The rules, each with a test of its name in `tests/batching/test_batcher.py`:

1. The caller asks when the engine is free, and only then are members bound to a batch.
2. Members share a key. Lower rank goes first, then the order in which they were enqueued.
3. A key may start once `min_batch_size` of its items wait, or an urgent one waits, or its oldest item
   has waited for the window since it was enqueued.
4. Of several keys that may start, one with an urgent item goes first, then the one with the oldest; but a
   key that has been ready while `MOST_OVERTAKING` other batches started goes before all others.
5. A batch takes as many as wait, up to `max_batch_size` or the smaller size that memory allows.
6. An item under suspicion runs alone, without waiting for anything.

Nothing here reads a clock: every call that depends on the time is given it, in seconds, on the same
clock as `Item.enqueued_at`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import count

from sortedcontainers import SortedKeyList

from batching.batch import Batch, Reason
from batching.item import Item
from batching.limits import Limits

#: Batches of other keys that may start before one that is ready as well. One batch in twenty is what a flood
#: of urgent work leaves to the rest, as of claims (`workers.transport.claims.CLAIMS_PER_TURN`).
MOST_OVERTAKING = 19


class Batcher:
    """The items that wait, and the rules by which they leave. Not thread-safe."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._arrivals = count()
        self._waiting: dict[Hashable, _Waiting] = {}
        self._keys: dict[Hashable, Hashable] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, item: Item) -> None:
        """Let `item` wait. Raises `ValueError` if an item of this id waits already."""
        if item.id in self._keys:
            raise ValueError(f"item {item.id!r} waits already")
        key = ("alone", item.id) if item.alone else item.key
        self._keys[item.id] = key
        if key not in self._waiting:
            self._waiting[key] = _Waiting()
        self._waiting[key].add(item, next(self._arrivals))

    def discard(self, item_id: Hashable) -> None:
        """Forget an item, if it still waits."""
        key = self._keys.pop(item_id, None)
        if key is not None:
            self._waiting[key].discard(item_id)
            self._drop_if_empty(key)

    def clear(self) -> None:
        """Forget every item."""
        self._waiting.clear()
        self._keys.clear()

    def take(self, now: float, at_most: int | None = None) -> Batch | None:
        """The batch that a free engine should run now, or None to wait for company.

        `at_most` is the largest size that memory allows at present.
        """
        largest = max(1, min(self.limits.max_batch_size, at_most or self.limits.max_batch_size))
        ready = [key for key in self._waiting if self._starts_at(key, largest) <= now]
        if not ready:
            return None
        key = min(ready, key=lambda key: self._waiting[key].turn)
        for other in ready:
            self._waiting[other].overtaken += 1
        self._waiting[key].overtaken = 0
        reason = self._reason(key, largest)
        items = self._waiting[key].pop_first(largest)
        for item in items:
            del self._keys[item.id]
        self._drop_if_empty(key)
        return Batch(items=items, reason=reason, closed_at=now)

    def wake_at(self, at_most: int | None = None) -> float | None:
        """When `take` has something to give if nothing else arrives; None if nothing waits."""
        largest = max(1, min(self.limits.max_batch_size, at_most or self.limits.max_batch_size))
        return min((self._starts_at(key, largest) for key in self._waiting), default=None)

    def _starts_at(self, key: Hashable, largest: int) -> float:
        waiting = self._waiting[key]
        enough = min(self.limits.min_batch_size, largest)
        if waiting.is_urgent or waiting.is_alone or len(waiting) >= enough:
            return float("-inf")
        return waiting.oldest_at + self.limits.max_batch_wait

    def _reason(self, key: Hashable, largest: int) -> Reason:
        waiting = self._waiting[key]
        if waiting.is_alone or self.limits.max_batch_size == 1:
            return Reason.ALONE
        if len(waiting) >= largest:
            return Reason.FULL
        if waiting.is_urgent:
            return Reason.URGENT
        return Reason.ENOUGH if len(waiting) >= self.limits.min_batch_size else Reason.WINDOW

    def _drop_if_empty(self, key: Hashable) -> None:
        if not self._waiting[key]:
            del self._waiting[key]


class _Waiting:
    """The waiting items of one key, in the order in which they would be filled in."""

    def __init__(self) -> None:
        self.overtaken = 0
        self._order: dict[Hashable, tuple[int, float, int]] = {}
        self._items: SortedKeyList[Item] = SortedKeyList(key=lambda item: self._order[item.id])

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item, arrival: int) -> None:
        self._order[item.id] = (item.rank, item.enqueued_at, arrival)
        self._items.add(item)

    def discard(self, item_id: Hashable) -> None:
        position = self._items.bisect_key_left(self._order[item_id])
        del self._items[position]
        del self._order[item_id]

    def pop_first(self, size: int) -> tuple[Item, ...]:
        items = tuple(self._items[:size])
        del self._items[:size]
        self._forget(items)
        return items

    @property
    def is_urgent(self) -> bool:
        return bool(self._items[0].is_urgent)

    @property
    def is_alone(self) -> bool:
        return bool(self._items[0].alone)

    @property
    def oldest_at(self) -> float:
        return min((item.enqueued_at for item in self._items), default=float("inf"))

    @property
    def turn(self) -> tuple[bool, bool, float]:
        return (self.overtaken < MOST_OVERTAKING, not self.is_urgent, self.oldest_at)

    def _forget(self, items: Iterable[Item]) -> None:
        for item in items:
            del self._order[item.id]
