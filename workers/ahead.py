"""What will probably run next on a worker, told to its engine process while that runs something else.

First what the worker holds already, then what it sees at the heads of the lanes. It takes nothing: who runs
it in the end, and whether anybody does, is decided when an engine is free (docs/decisions, record 18).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis

from batching.item import Item
from protocol.request import Request
from protocol.wire import encode_request
from workers.engine_process import EngineProcess, ProcessLost
from workers.later import CallLater, cancel
from workers.run import Work
from workers.transport.claims import Shown
from workers.waiting import has_missed, item_of

#: When a worker looks, in seconds after a batch has started: not while the results of the batch before wait
#: to be settled, nor at all during an engine call so short that nothing would be won.
LOOK_SECONDS = 0.025

#: How often it looks again as long as it has not seen as much as it may.
LOOK_AGAIN_SECONDS = 0.1

Order = list[Any]
"""A request as the engine process is told of it: its id, and the keyword arguments of its task."""

Look = Callable[[int], Sequence[Shown]]
"""Shows up to so many messages that wait, the next first. May raise `redis.RedisError`."""

Read = Callable[[bytes], Request | None]
"""The request that a message asks for; None if it will not run as it stands, or not now."""

Now = Callable[[], float]
"""The time, on the clock of `Item.enqueued_at`."""

Held = Callable[[], Sequence[Work]]
"""What the worker holds for a later batch."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A message that can be read, as the engine process and the batcher are told of it."""

    order: Order
    item: Item


class Ahead:
    """Looks ahead during each batch. On the event loop's thread."""

    def __init__(
        self, most: int, *, look: Look, read: Read, held: Held, now: Now, call_later: CallLater
    ) -> None:
        """`most` is how many requests are looked ahead at; 0 looks at none."""
        self._most = most
        self._look = look
        self._read = read
        self._held = held
        self._now = now
        self._call_later = call_later
        self._alarm: Any = None
        self._told: list[str] = []
        self._seen: dict[Shown, _Seen | None] = {}
        self._has_looked = False

    def new_engine(self) -> None:
        """A new engine process has been told nothing."""
        self._told = []

    def begin(self, engine: EngineProcess, seconds: float | None) -> None:
        """`engine` runs a batch from now on, for so long if that is known: look soon what comes next."""
        self._has_looked = False
        if self._most and (seconds is None or seconds > LOOK_SECONDS):
            self._alarm = self._call_later(LOOK_SECONDS, self._look_and_tell, engine)

    def end(self) -> None:
        """The batch has ended; whatever has been told holds until the next list."""
        cancel(self._alarm)

    def tell_held(self, engine: EngineProcess) -> None:
        """The next batch has been claimed: tell of it, if this one is too short for a look behind it."""
        if not self._has_looked:
            with suppress(ProcessLost):
                self._tell(engine, self._orders_held())

    def _look_and_tell(self, engine: EngineProcess) -> None:
        """Tell what will probably run next; look again unless it is all there may be."""
        with suppress(redis.RedisError, ProcessLost):  # whatever runs next meets either again
            self.look()
            seen = [one.order for one in self._seen.values() if one is not None]
            self._tell(engine, self._orders_held() + seen)
        if len(self._told) < self._most:
            self._alarm = self._call_later(LOOK_AGAIN_SECONDS, self._look_and_tell, engine)

    def _tell(self, engine: EngineProcess, orders: list[Order]) -> None:
        """If that is something else than was told before."""
        told = [name for name, _ in orders]
        if told != self._told:
            engine.send({"ahead": orders})
            self._told = told

    @property
    def seen(self) -> Sequence[Item]:
        """What waited at the last look of this batch, each with its message as its id, the next first.

        Nothing if one of them cannot be read: they are best claimed in order, and dealt with.
        """
        found = [one.item for one in self._seen.values() if one is not None] if self._has_looked else []
        return found if len(found) == len(self._seen) else ()

    def overdue(self, now: float) -> Sequence[bytes]:
        """Those of them that have missed their deadline: whoever claims one puts it behind all others.

        Without those that are there already.
        """
        return [
            shown.message
            for shown, one in self._seen.items()
            if one is not None and not shown.is_last and has_missed(one.item.deadline_at, now)
        ]

    def look(self) -> Sequence[Item]:
        """What is seen now. Raises `redis.RedisError`."""
        left = self._most - len(self._held())
        shown = self._look(left) if left > 0 else ()
        self._seen = {  # what the look before showed is not read again
            one: self._seen[one] if one in self._seen else self._read_one(one.message) for one in shown
        }
        self._has_looked = True
        return self.seen

    def _orders_held(self) -> list[Order]:
        return [_order(work.request) for work in self._held()[: self._most]]

    def _read_one(self, message: bytes) -> _Seen | None:
        request = self._read(message)
        return None if request is None else _Seen(_order(request), item_of(message, request, self._now()))


def _order(request: Request) -> Order:
    return [request.request_id, encode_request(request)]
