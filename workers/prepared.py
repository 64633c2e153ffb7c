"""Rows that are ready before their batch is known: prepared beside the engine call, on a thread of its own.

The parent says what will probably run next; each list takes the place of the one before, so whatever is not
on it any more is forgotten, unless it belongs to the batch whose order has come. That batch takes what is
ready of its members, and prepares the others itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from workers.engine.base import Row

log = logging.getLogger(__name__)

#: Most that rows may take which are ready, in bytes: some seventy audio segments of 30 s with the features of
#: the largest model, beside weights that take gigabytes.
MOST_BYTES = 256_000_000

#: Requests whose audio is fetched in one round trip: enough that these cost little beside the preparation,
#: few enough that a batch which takes its members away leaves little that was fetched in vain.
FETCHED_TOGETHER = 4

Order = tuple[str, Mapping[str, Any]]
"""A request as the engine process is told of it: its id, and the keyword arguments of its task."""

Prepare = Callable[[Sequence[Order], Callable[[Order], bool], Callable[[Order, Row], None]], None]
"""Fetches orders, asks of each whether it is still wanted, makes its row if so, and hands that over."""


class Prepared:
    """What is ready, and a thread that makes it so. Its methods may be called from any thread."""

    def __init__(self, prepare: Prepare, *, most_bytes: int = MOST_BYTES) -> None:
        self._prepare = prepare
        self._most_bytes = most_bytes
        self._changed = threading.Condition()
        self._wanted: dict[str, Mapping[str, Any]] = {}
        self._bound: set[str] = set()
        self._round: dict[str, Mapping[str, Any]] = {}
        """What the thread has in hand and has not made."""
        self._making: str | None = None
        self._ready: dict[str, tuple[Mapping[str, Any], Row]] = {}

    def start(self) -> None:
        """Begin to prepare, until the process ends."""
        threading.Thread(target=self._run, name="prepare", daemon=True).start()

    def expect(self, orders: Sequence[Order]) -> None:
        """These will probably run next, the next first; forget all others."""
        expected = dict(orders)
        with self._changed:
            for name in self._ready.keys() - self._bound:
                if self._ready[name][0] != expected.get(name):
                    del self._ready[name]
            taken = self._ready.keys() | self._bound
            self._wanted = {name: kwargs for name, kwargs in expected.items() if name not in taken}
            if self._wanted:
                self._changed.notify_all()

    def bind(self, orders: Sequence[Order]) -> None:
        """The order of a batch has come: begin with none of its members, and keep what there is of them.

        Called before any later `expect`, whatever thread `take` is called from.
        """
        with self._changed:
            self._bound = {name for name, _ in orders}
            for name in self._bound:
                self._wanted.pop(name, None)

    def take(self, orders: Sequence[Order]) -> list[Row | None]:
        """The row of each member that was bound, None if there is none. Waits for one that is being made."""
        with self._changed:
            self._changed.wait_for(lambda: self._making not in self._bound)
            self._bound = set()
            taken = [(kwargs, self._ready.pop(name, None)) for name, kwargs in orders]
            if any(made is not None for _, made in taken):  # there is room for more
                self._changed.notify_all()
        return [made[1] if made is not None and made[0] == kwargs else None for kwargs, made in taken]

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._may_make)
                self._round = dict(list(self._wanted.items())[:FETCHED_TOGETHER])
            try:
                self._prepare(list(self._round.items()), self._begin, self._end)
            # Its batch meets it again, and settles the request with it. This thread goes on, whatever it was.
            except BaseException as error:
                log.warning("could not prepare a request ahead of its batch: %s", type(error).__name__)
            self._end_round()

    def _may_make(self) -> bool:
        ready = sum(size_of(row) for _, row in self._ready.values())
        return bool(self._wanted) and ready < self._most_bytes

    def _begin(self, order: Order) -> bool:
        """Whether a request is still wanted; its row is then being made."""
        name, kwargs = order
        with self._changed:
            is_wanted = self._wanted.get(name) == kwargs
            self._making = name if is_wanted else None
            return is_wanted

    def _end(self, order: Order, row: Row) -> None:
        """A row is ready: kept if somebody still wants it."""
        name, kwargs = order
        with self._changed:
            if self._wanted.pop(name, None) == kwargs or name in self._bound:
                self._ready[name] = (kwargs, row)
            del self._round[name]
            self._making = None
            self._changed.notify_all()

    def _end_round(self) -> None:
        """What is not ready now will not be: its batch finds out why."""
        with self._changed:
            self._making = None
            for name, kwargs in self._round.items():
                if self._wanted.get(name) == kwargs:
                    del self._wanted[name]
            self._changed.notify_all()


def size_of(row: Row) -> int:
    """What a row takes in memory, in bytes, as far as it is arrays."""
    features = row.features.nbytes if isinstance(row.features, np.ndarray) else 0
    return int(row.samples.nbytes) + int(features)
