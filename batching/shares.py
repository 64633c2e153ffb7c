"""In which turn the items of several tenants go: each tenant has a share of the engine by its weight.

Start-time fair queueing: each tenant has a virtual clock, which one of its items moves by its size over the
tenant's weight; whose clock is behind goes first. A tenant that had nothing waiting starts with the clock of
those who have: it neither saves up turns nor pays for what it used while nobody else waited.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batching.item import Item

#: What an item counts for at least, in seconds of audio: the shortest costs the engine a row, too.
LEAST_SIZE = 1.0


class Shares:
    """The virtual clocks of the tenants of one line."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights
        #: Those that are ahead of `_behind`; all others are there.
        self._ahead: dict[str, float] = {}
        self._behind = 0.0

    def turns(self, items: Iterable[Item]) -> list[float]:
        """For each item, first come first served, the clock of its tenant when it begins."""
        clocks: dict[str, float] = {}
        turns = []
        for item in items:
            tenant = item.tenant
            turn = clocks[tenant] if tenant in clocks else self._clock(tenant)
            turns.append(turn)
            clocks[tenant] = turn + self._step(item)
        return turns

    def charge(self, taken: Iterable[Item], waiting: Iterable[str]) -> None:
        """The items `taken` run: their tenants' clocks move. `waiting` are the tenants with items left."""
        for item in taken:
            self._ahead[item.tenant] = self._clock(item.tenant) + self._step(item)
        last = max(self._ahead.values())
        self._behind = min((self._clock(tenant) for tenant in waiting), default=last)
        self._ahead = {tenant: clock for tenant, clock in self._ahead.items() if clock > self._behind}

    def _clock(self, tenant: str) -> float:
        return self._ahead.get(tenant, self._behind)

    def _step(self, item: Item) -> float:
        return max(LEAST_SIZE, item.cost) / self._weights.get(item.tenant, 1.0)
