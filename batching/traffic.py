"""What comes: how much in a second, whether urgent items are among it, and in which bursts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from batching.bursts import Bursts
from batching.duration import Duration
from batching.item import Item
from batching.rate import Rate

#: Seconds after an urgent item in which another is reckoned with. One in five seconds is what still
#: counts as urgent traffic; of less, batches need not be kept small for it.
URGENT_FOR = 5.0

#: Keys whose bursts are remembered; the one that came longest ago is forgotten first.
MOST_KEYS = 256


class Traffic:
    """Learns from every arrival. Times in seconds, on the clock of `Item.enqueued_at`."""

    def __init__(self) -> None:
        self._rate = Rate()
        self._urgent_at = float("-inf")
        self._bursts: OrderedDict[Hashable, Bursts] = OrderedDict()

    def came(self, item: Item, duration: Duration | None) -> None:
        """One more was enqueued; `duration` is what a batch of its key takes, if that is known."""
        if item.is_urgent:
            self._urgent_at = max(self._urgent_at, item.enqueued_at)
        self._rate.came(item.enqueued_at)
        if duration is not None:
            self._bursts_of(item.key).came(item.enqueued_at, duration, item.cost)

    @property
    def rate(self) -> float:
        """Items in a second, lately; 0 before enough came."""
        return self._rate.per_second

    def is_urgent(self, now: float) -> bool:
        """Whether another urgent item must be reckoned with."""
        return now - self._urgent_at <= URGENT_FOR

    def hold_until(self, key: Hashable, size: int, duration: Duration, longest: float) -> float:
        """Until when `size` items of `key` should be held for another; the past not to."""
        return self._bursts_of(key).hold_until(size, duration, longest)

    def _bursts_of(self, key: Hashable) -> Bursts:
        if key not in self._bursts:
            self._bursts[key] = Bursts()
        self._bursts.move_to_end(key)
        if len(self._bursts) > MOST_KEYS:
            self._bursts.popitem(last=False)
        return self._bursts[key]
