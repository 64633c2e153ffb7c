"""What waits of one key, in order of length: the items, and as columns of numbers what the rules ask."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from itertools import compress
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from batching.duration import Vector
from batching.item import URGENT, Item
from batching.shares import Shares

#: Positions in the line, in the order in which items are filled into a batch.
Places = npt.NDArray[np.intp]

#: Places for which there is room at first; doubled whenever they are used up.
FIRST_ROOM = 64

NEVER = float("inf")

#: The columns.
LENGTH, ENQUEUED, ARRIVAL, RANK, DEADLINE = range(5)

_length_of = attrgetter("cost")


class Line:
    """Items of one key. The columns are views, valid until the next change; shape `[len(line)]`."""

    def __init__(self, shares: Shares) -> None:
        self.items: list[Item] = []
        #: The least that any item says; infinite without items.
        self.oldest_at: float = NEVER
        self.first_deadline: float = NEVER
        #: Batches of other keys that started while this one was ready as well.
        self.overtaken = 0
        #: Batches of this key in a row that left the oldest item behind.
        self.passed_by = 0
        #: Whether a free engine was refused, to wait for more.
        self.was_held = False
        self._table = np.zeros((5, FIRST_ROOM))
        #: How many there are of each rank and tenant.
        self._kinds: Counter[tuple[int, str]] = Counter()
        self._shares = shares

    def __len__(self) -> int:
        return len(self.items)

    def add(self, item: Item, arrival: int) -> None:
        """Let `item` wait; `arrival` tells apart what was enqueued at the same time."""
        if len(self.items) == self._table.shape[1]:
            self._table = np.concatenate([self._table, np.zeros_like(self._table)], axis=1)
        place, end = bisect_right(self.items, item.cost, key=_length_of), len(self.items)
        if place < end:
            self._table[:, place + 1 : end + 1] = self._table[:, place:end]
        self._table[:, place] = row = _row(item, arrival)
        self.items.insert(place, item)
        self._kinds[item.rank, item.tenant] += 1
        self.oldest_at = min(self.oldest_at, item.enqueued_at)
        self.first_deadline = min(self.first_deadline, row[DEADLINE])

    def beside(self, others: Sequence[Item], arrivals: Iterator[int]) -> Line:
        """A line of these and of `others`, which came after them; this one stays as it is."""
        both, items = Line(self._shares), self.items + list(others)
        columns = np.array([_row(item, next(arrivals)) for item in others]).T
        table = np.concatenate([self._table[:, : len(self)], columns], axis=1)
        order = np.argsort(table[LENGTH], kind="stable")
        both._table = table[:, order]
        both.items = [items[place] for place in order.tolist()]
        both._kinds = self._kinds + Counter([(item.rank, item.tenant) for item in others])
        both.oldest_at = float(table[ENQUEUED].min())
        both.first_deadline = float(table[DEADLINE].min())
        both.overtaken, both.passed_by = self.overtaken, self.passed_by
        return both

    def discard(self, item_id: Hashable) -> None:
        """Forget the item of this id."""
        place = next(place for place, item in enumerate(self.items) if item.id == item_id)
        self._count_out(self.items[place : place + 1])
        self._remove([place])

    def pop(self, places: Places) -> tuple[Item, ...]:
        """The items at these places, in this order, which then wait no more."""
        listed, oldest_at = places.tolist(), self.oldest_at
        taken, had_tenants = tuple(map(self.items.__getitem__, listed)), self.has_tenants
        self._count_out(taken)
        if had_tenants:
            self._shares.charge(taken, {tenant for _, tenant in self._kinds})
        self._remove(listed)
        self.passed_by = self.passed_by + 1 if self.oldest_at == oldest_at else 0
        self.was_held = False
        return taken

    @property
    def lengths(self) -> Vector:
        """Seconds of audio, rising."""
        return self._column(LENGTH)

    @property
    def enqueued_at(self) -> Vector:
        """When each was enqueued."""
        return self._column(ENQUEUED)

    @property
    def ranks(self) -> Vector:
        """Lower goes first."""
        return self._column(RANK)

    @property
    def deadlines(self) -> Vector:
        """When the batch of each should have ended; infinite where nobody said."""
        return self._column(DEADLINE)

    @property
    def first_rank(self) -> float:
        """The lowest rank of all; infinite without items."""
        return min(self._kinds)[0] if self._kinds else NEVER

    @property
    def is_urgent(self) -> bool:
        """Whether an urgent item is among them."""
        return self.first_rank <= URGENT

    @property
    def is_alone(self) -> bool:
        """Whether this is the line of one item under suspicion."""
        return self.items[0].alone

    @property
    def is_uniform(self) -> bool:
        """Whether all are of one rank and one tenant, and nobody set a deadline."""
        return len(self._kinds) == 1 and not self.has_deadlines

    @property
    def has_deadlines(self) -> bool:
        """Whether any of them has one."""
        return self.first_deadline < NEVER

    @property
    def has_tenants(self) -> bool:
        """Whether they are of several tenants."""
        return len(self._kinds) > 1 and len({tenant for _, tenant in self._kinds}) > 1

    @property
    def oldest(self) -> int:
        """The place of the item that was enqueued first."""
        return int(self.enqueued_at.argmin())

    def in_turn(self, ranks: Vector) -> Places:
        """All places as they are filled into a batch: by rank, by turn of the tenants, first come."""
        if self.is_uniform:
            return self._in_order()
        order = self._in_order(ranks)
        if not self.has_tenants:
            return order
        turns = np.empty(len(self))
        turns[order] = self._shares.turns(list(map(self.items.__getitem__, order.tolist())))
        return self._in_order(ranks, turns)

    def _in_order(self, *first_by: Vector) -> Places:
        """All places, sorted by these columns, then by when they were enqueued and came."""
        return np.lexsort((self._column(ARRIVAL), self._column(ENQUEUED), *reversed(first_by)))

    def _column(self, name: int) -> Vector:
        return self._table[name, : len(self.items)]

    def _count_out(self, taken: Sequence[Item]) -> None:
        if len(taken) == len(self.items):
            self._kinds.clear()
        elif len(self._kinds) == 1:
            self._kinds[taken[0].rank, taken[0].tenant] -= len(taken)
        else:
            self._kinds.subtract([(item.rank, item.tenant) for item in taken])
            self._kinds = +self._kinds

    def _remove(self, places: Sequence[int]) -> None:
        begin, end, count = min(places), max(places) + 1, len(self.items)
        left = self._table[:, : count - len(places)]
        if end - begin == len(places):  # neighbours, as of a window of lengths: a slice will do
            left[:, begin:] = self._table[:, end:count]
            del self.items[begin:end]
        else:
            stay = np.ones(count, dtype=bool)
            stay[places] = False
            left[:] = self._table[:, :count].compress(stay, axis=1)
            self.items = list(compress(self.items, stay.tolist()))
        self.oldest_at = float(np.minimum.reduce(left[ENQUEUED], initial=NEVER))
        if self.has_deadlines:
            self.first_deadline = float(np.minimum.reduce(left[DEADLINE], initial=NEVER))


def _row(item: Item, arrival: int) -> tuple[float, float, int, int, float]:
    """What stands of an item in the columns."""
    deadline_at = NEVER if item.deadline_at is None else item.deadline_at
    return item.cost, item.enqueued_at, arrival, item.rank, deadline_at
