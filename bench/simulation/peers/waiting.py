"""Peers that bind members late: what waits stays in one queue until the engine is free."""

from __future__ import annotations

from collections import deque

from batching.item import Item
from bench.simulation.policy import Members


class Waiting:
    """A queue, first come first served, from which a batch is cut when the engine is free."""

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self.queue: deque[Item] = deque()

    def add(self, item: Item) -> None:
        """It waits behind the others."""
        self.queue.append(item)

    def cut(self) -> Members:
        """The first of those that wait, up to the largest batch."""
        return tuple(self.queue.popleft() for _ in range(min(len(self.queue), self.largest)))

    def ran(self, members: Members, started_at: float, ended_at: float, /) -> None:
        """Nothing is learnt from it."""


class Triton(Waiting):
    """NVIDIA Triton: a full batch, or the oldest has waited for `delay` since it was enqueued.

    With a delay it waits that long, idle engine or not; with a delay of 0 it takes what is there.
    """

    def __init__(self, largest: int, delay: float) -> None:
        super().__init__(largest)
        self.delay = delay

    def take(self, now: float, /) -> Members:
        """All that wait, once enough do or one has waited enough."""
        if not self.queue or (len(self.queue) < self.largest and now < self.wake_at_once()):
            return ()
        return self.cut()

    def wake_at_once(self) -> float:
        """When the delay of the oldest ends."""
        return self.queue[0].enqueued_at + self.delay

    def wake_at(self) -> float | None:
        """When the delay of the oldest ends."""
        return self.wake_at_once() if self.queue else None


class WindowFromDequeue(Waiting):
    """mosec and TorchServe: the free worker takes a first item, then fills the batch for one window more.

    However long that item waited before, it waits for the window again.
    """

    def __init__(self, largest: int, window: float) -> None:
        super().__init__(largest)
        self.window = window
        self._closes_at: float | None = None

    def take(self, now: float, /) -> Members:
        """A full batch, or what the window brought."""
        if not self.queue:
            return ()
        if self._closes_at is None:
            self._closes_at = now + self.window
        if len(self.queue) < self.largest and now < self._closes_at:
            return ()
        self._closes_at = None
        return self.cut()

    def wake_at(self) -> float | None:
        """The end of the window that is open."""
        return self._closes_at


class WindowFromLoop(Waiting):
    """LitServe: windows follow one another from when the engine is free, with or without an item."""

    def __init__(self, largest: int, window: float) -> None:
        super().__init__(largest)
        self.window = window
        self._entered_at = 0.0

    def take(self, now: float, /) -> Members:
        """A full batch, or what the window brought that held the first item."""
        if not self.queue:
            return ()
        empty = (self.queue[0].enqueued_at - self._entered_at) // self.window
        self._entered_at += max(0.0, empty) * self.window
        if len(self.queue) < self.largest and now < self._entered_at + self.window:
            return ()
        return self.cut()

    def wake_at(self) -> float | None:
        """The end of the window that is open, if it will hold an item."""
        return self._entered_at + self.window if self.queue else None

    def ran(self, _members: Members, _started_at: float, ended_at: float, /) -> None:
        """The next window begins."""
        self._entered_at = ended_at
