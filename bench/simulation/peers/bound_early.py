"""Peers that bind members early: a batch is closed while the engine still runs another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import floor

from batching.item import Item
from bench.simulation.policy import Members


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


def celery_batches(largest: int, interval: float) -> ClosedByTime:
    """celery-batches: `flush_every` items, or the tick of a timer that runs freely from the first."""
    started_at: list[float] = []

    def next_tick(first_at: float) -> float:
        if not started_at:
            started_at.append(first_at)
        return started_at[0] + (floor((first_at - started_at[0]) / interval) + 1) * interval

    return ClosedByTime(largest, next_tick)


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
