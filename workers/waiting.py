"""The requests that a worker holds and has not started: those waiting for a batch, and for their time."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from itertools import count
from math import inf
from typing import Any

from batching.batch import Batch
from batching.batcher import Batcher
from batching.duration import Duration
from batching.forecast import Forecast
from batching.item import Item
from batching.limits import Limits, SizeCap
from batching.sight import Sight
from protocol.request import Priority, Request
from protocol.routing import PRIORITY_NUMBERS
from workers.engine.base import compatibility_key
from workers.run import Work
from workers.settings_blocks import Batching

#: The rank of what has missed its deadline: behind the least urgent.
LATE = PRIORITY_NUMBERS[Priority.BULK] + 1

#: Most requests with a countdown or ETA that a worker holds; the others wait in Redis for another.
MOST_DELAYED = 1_000


class Waiting:
    """Works by the items that stand for them in the batcher. Not thread-safe."""

    def __init__(self, batching: Batching) -> None:
        limits = limits_of(batching)
        self.cap = SizeCap(limits.max_batch_size)
        self._enough = limits.min_batch_size
        self._forecast = Forecast() if batching.dynamic_batching else None
        self._batcher = Batcher(limits, self._forecast, self.cap)
        self.sight = Sight(self._batcher)
        self._works: dict[Hashable, Work] = {}
        self._delayed: dict[int, Any] = {}
        self._item_ids = count()

    @property
    def room(self) -> int:
        """How many more would fit into the next batch."""
        if len(self._delayed) >= MOST_DELAYED:
            return 0
        return max(0, self.cap.size - len(self._batcher))

    @property
    def least(self) -> int:
        """How many more are worth taking from idle neighbours, since fewer would wait here for company."""
        return max(1, self._enough - len(self._batcher))

    @property
    def urgent_room(self) -> int:
        """How many urgent requests could be taken though there is no room: one, which starts a batch at once.

        The rest of the batch is for those who are here already.
        """
        return 0 if self.room or not self._batcher else 1

    def add(self, message: Any, request: Request, now: float) -> None:
        """Let a request wait for its batch."""
        item = item_of(next(self._item_ids), request, now)
        self._put(Work(message=message, request=request, item=item, received_at=now))

    def add_back(self, work: Work) -> None:
        """Let a request wait again as it did, since its batch could not start."""
        work.item = replace(work.item, id=next(self._item_ids))
        self._put(work)

    def add_suspect(self, work: Work) -> None:
        """Let a request wait to run alone: its batch took the engine down."""
        work.item = replace(work.item, id=next(self._item_ids), alone=True)
        self._put(work)

    def add_again(self, work: Work) -> None:
        """Let a request wait for rows that are heard at the same temperature; its age is what it was.

        So it goes ahead of what came later, at the latest with those of its batch that failed with it.
        """
        temperature = work.again["temperature"] if work.again is not None else None
        key = compatibility_key(work.request.options, temperature)
        work.item = replace(work.item, id=next(self._item_ids), key=key)
        self._put(work)

    def plan(self, at: float) -> None:
        """Choose ahead what runs when the engine will be free, at `at`."""
        self._batcher.plan(at)

    def take(self, now: float) -> tuple[Batch, list[Work]] | None:
        """The batch that a free engine should run now, if any, with its works."""
        batch = self._batcher.take(now)
        if batch is None:
            return None
        return batch, [self._works.pop(item.id) for item in batch.items]

    def __len__(self) -> int:
        return len(self._batcher)

    def ran(self, batch: Batch, seconds: float) -> None:
        """Learn that one engine call with this batch took `seconds`."""
        self._batcher.ran(batch, seconds)

    def predicted(self, batch: Batch) -> float | None:
        """How long an engine call with this batch will take, in seconds; None if too little is known yet."""
        return self._batcher.predicted(batch.items)

    def terms(self, key: Hashable) -> tuple[float, ...] | None:
        """What a call with batches of this key costs; see `batching.duration.Duration`."""
        duration = self._duration(key)
        if duration is None:
            return None
        return duration.call, duration.item, duration.longest, duration.padded

    def _duration(self, key: Hashable) -> Duration | None:
        known = None if self._forecast is None else self._forecast.known(key)
        return None if known is None else known.duration

    def wake_at(self) -> float | None:
        """When `take` has something to give if nothing else comes."""
        return self._batcher.wake_at()

    def clear(self) -> None:
        """Forget whatever waits for a batch."""
        self._works.clear()
        self._batcher.clear()

    def works(self) -> list[Work]:
        """Whatever waits for a batch."""
        return list(self._works.values())

    def delay(self, message: Any) -> None:
        """A request waits for its time, outside the batcher."""
        self._delayed[id(message)] = message

    def is_due(self, message: Any) -> bool:
        """The time of a delayed request has come: whether it still waits for it here."""
        return self._delayed.pop(id(message), None) is not None

    def take_delayed(self) -> list[Any]:
        """The messages of all requests that wait for their time, which then wait here no more."""
        delayed, self._delayed = self._delayed, {}
        return [request.message for request in delayed.values()]

    def _put(self, work: Work) -> None:
        self._works[work.item.id] = work
        self._batcher.add(work.item)


def item_of(item_id: Hashable, request: Request, now: float) -> Item:
    """What batching sees of a request; its age counts from when it was enqueued, on Redis's clock.

    One that has missed its deadline waits behind all others.
    """
    return Item(
        id=item_id,
        key=compatibility_key(request.options),
        rank=LATE if has_missed(request.deadline_at, now) else PRIORITY_NUMBERS[request.priority],
        enqueued_at=min(now, request.submitted_at or now),
        cost=request.payload.seconds,
        deadline_at=request.deadline_at,
        tenant=request.tenant or "",
    )


def has_missed(deadline_at: float | None, now: float) -> bool:
    """Whether there was a deadline, and it is over."""
    return deadline_at is not None and deadline_at < now


def limits_of(batching: Batching) -> Limits:
    """The batcher's limits for the operator's block; not enabled means one by one."""
    if not batching.enabled:
        return Limits(max_batch_size=1, min_batch_size=1, max_batch_wait=0.0)
    return Limits(
        max_batch_size=batching.max_batch_size,
        min_batch_size=batching.min_batch_size,
        max_batch_wait=batching.max_batch_wait,
        max_batch_seconds=batching.max_batch_seconds or inf,
        urgent_seconds=batching.urgent_batch_ms / 1000 or inf,
        tenant_weights=batching.tenant_weights,
    )
