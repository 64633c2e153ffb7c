"""Peers that bind members early: a batch is closed while the engine still runs another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from batching.item import Item
from bench.simulation.policy import Members

#: Batches' worth of backlog that infinity sorts at once (`max_n_batches` in `_publish_towards_model`), and
#: batches that it binds ahead: one published, one at its features, three with features (`Queue(3)`).
AT_ONCE, INFINITY_AHEAD = 8, 5


class ClosedByTime:
    """Batches close when full or when their time comes, and then wait in line for the engine."""

    def __init__(self, largest: int, closes_at: Callable[[float], float]) -> None:
        """`closes_at` says when a batch closes whose first item was enqueued then; never before it."""
        self._largest = largest
        self._time_for = closes_at
        self._open: list[Item] = []
        self._closes_at = float("inf")
        self._closed: deque[Members] = deque()

    def add(self, item: Item) -> None:
        """It joins the open batch, or begins one."""
        self._close_if_due(item.enqueued_at)
        if not self._open:
            self._closes_at = self._time_for(item.enqueued_at)
        self._open.append(item)
        if len(self._open) >= self._largest:
            self._close()

    def take(self, now: float, /) -> Members:
        """The batch that closed first."""
        self._close_if_due(now)
        return self._closed.popleft() if self._closed else ()

    def wake_at(self) -> float | None:
        """When the open batch closes."""
        return self._closes_at if self._open else None

    def ran(self, members: Members, started_at: float, ended_at: float, /) -> None:
        """Nothing is learnt from it."""

    def _close_if_due(self, now: float) -> None:
        if self._open and self._closes_at <= now:
            self._close()

    def _close(self) -> None:
        self._closed.append(tuple(self._open))
        self._open.clear()


def ray_serve(largest: int, window: float) -> ClosedByTime:
    """Ray Serve with an asynchronous handler: the window runs from the first item, busy engine or not."""
    return ClosedByTime(largest, lambda first_at: first_at + window)


class ClosedByTimer(ClosedByTime):
    """celery-batches: `flush_every` items, or the tick of a timer that runs until a tick finds nothing."""

    def __init__(self, largest: int, interval: float) -> None:
        super().__init__(largest, self._tick_after)
        self._interval = interval
        self._tick = float("inf")

    def _close_if_due(self, now: float) -> None:
        while self._tick <= now:
            self._tick += self._interval if self._open else float("inf")
            super()._close_if_due(now)

    def _tick_after(self, first_at: float) -> float:
        if self._tick == float("inf"):
            self._tick = first_at + self._interval
        return self._tick


class OneAhead:
    """TEI: the next batch is bound when the engine takes one, or of the first item that comes after."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._bound: Members = ()
        self._queue: deque[Item] = deque()

    def add(self, item: Item) -> None:
        """It waits; if no batch is bound ahead, it becomes one by itself."""
        self._queue.append(item)
        if not self._bound:
            self._bind()

    def take(self, _now: float, /) -> Members:
        """The batch bound ahead; those that wait are bound to the next at once."""
        members = self._bound
        self._bind()
        return members

    def wake_at(self) -> float | None:
        """Never: what waits is bound, and what is bound runs."""
        return None

    def ran(self, members: Members, started_at: float, ended_at: float, /) -> None:
        """Nothing is learnt from it."""

    def _bind(self) -> None:
        size = min(len(self._queue), self._largest)
        self._bound = tuple(self._queue.popleft() for _ in range(size))


class SortedByLength:
    """infinity: takes a backlog of up to `AT_ONCE` batches, sorts it by length, and cuts it.

    `ahead` batches are bound while the engine runs; with 0 only its sort is left, and members are bound when
    the engine is free, which is kinder to it than its source.
    """

    def __init__(self, largest: int, ahead: int) -> None:
        self._largest = largest
        self._ahead = ahead
        self._bound: deque[Members] = deque()
        self._queue: list[Item] = []

    def add(self, item: Item) -> None:
        """It waits; while there is room ahead, it is bound at once."""
        self._queue.append(item)
        if len(self._bound) < self._ahead:
            self._bind()

    def take(self, _now: float, /) -> Members:
        """The batch bound first."""
        if not self._bound:
            self._bind()
        members = self._bound.popleft() if self._bound else ()
        if len(self._bound) < self._ahead:
            self._bind()
        return members

    def wake_at(self) -> float | None:
        """Never: what waits runs as soon as the engine is free."""
        return None

    def ran(self, members: Members, started_at: float, ended_at: float, /) -> None:
        """Nothing is learnt from it."""

    def _bind(self) -> None:
        backlog = self._queue[: AT_ONCE * self._largest]
        del self._queue[: len(backlog)]
        if len(backlog) > self._largest:
            backlog.sort(key=lambda item: item.cost)
        cuts = range(0, len(backlog), self._largest)
        self._bound.extend(tuple(backlog[first : first + self._largest]) for first in cuts)
