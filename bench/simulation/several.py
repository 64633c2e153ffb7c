"""Several engines that pull from one queue: who claims how much, and when.

Each engine has a policy of its own, which sees only what its worker has claimed, as in the product.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from batching.item import Item
from batching.pulling import share
from bench.simulation.cost import Linear
from bench.simulation.policy import Members, Policy
from bench.simulation.simulator import Run

#: A worker counts as soon free if its batch ends within this share of what a lone item takes.
SOON = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulling:
    """How a worker takes messages from the queue."""

    ahead: int = 0
    """Messages that it holds beside the batch that runs, as Celery's prefetch does; 0 claims on demand."""
    shares: bool = False
    """Whether a free worker leaves something for the others that are free, or soon will be."""
    one_first: bool = False
    """Whether one worker's buffer fills up before another gets anything: no broker here does that."""


class Worker:
    """One engine, its policy, and what it has claimed."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.held = 0
        self.served_at = float("-inf")
        self.members: Members = ()
        self.started_at = 0.0
        self.ends_at = float("-inf")

    @property
    def is_idle(self) -> bool:
        """Whether its engine could start something."""
        return not self.members

    def claim(self, item: Item, now: float) -> None:
        """Take one message off the queue."""
        self.policy.add(item)
        self.held += 1
        self.served_at = now

    def start(self, now: float, cost: Linear) -> None:
        """Run what its policy gives, if it gives anything."""
        self.members = self.policy.take(now)
        self.held -= len(self.members)
        self.started_at, self.ends_at = now, now
        if self.members:
            self.ends_at = now + cost.of_size(len(self.members))

    def end(self) -> Members:
        """Its batch has run."""
        members, self.members = self.members, ()
        self.policy.ran(members, self.started_at, self.ends_at)
        return members


class Engines:
    """Workers on one queue, and the clock that they share."""

    def __init__(
        self, count: int, policy: Callable[[], Policy], cost: Linear, pulling: Pulling, largest: int
    ) -> None:
        self._workers = [Worker(policy()) for _ in range(count)]
        self._queue: deque[Item] = deque()
        self._cost = cost
        self._pulling = pulling
        self._largest = largest
        self._soon = SOON * cost.of_size(1)

    def simulate(self, items: Sequence[Item]) -> Run:
        """Run `items`, by rising `enqueued_at`, with the ids 0, 1, 2 …"""
        run = Run(
            enqueued_at=np.array([item.enqueued_at for item in items]), ended_at=np.full(len(items), np.nan)
        )
        to_come = deque(items)
        while (now := self._next_event(to_come)) is not None:
            while to_come and to_come[0].enqueued_at <= now:
                self._queue.append(to_come.popleft())
            for worker in self._workers:
                if worker.members and worker.ends_at <= now:
                    run.record(worker.end(), worker.started_at, worker.ends_at)
            self._pull(now)
        return run

    def _next_event(self, to_come: deque[Item]) -> float | None:
        wakes = [worker.policy.wake_at() for worker in self._workers if worker.is_idle]
        events = [at for at in wakes if at is not None]
        events += [worker.ends_at for worker in self._workers if not worker.is_idle]
        return min([*events, *([to_come[0].enqueued_at] if to_come else [])], default=None)

    def _pull(self, now: float) -> None:
        """Idle workers claim and start, those longest without a message first; then buffers fill."""
        self._fill(now)
        for worker in sorted(self._workers, key=lambda worker: worker.served_at):
            if worker.is_idle:
                self._claim(worker, now)
                worker.start(now, self._cost)
        self._fill(now)

    def _fill(self, now: float) -> None:
        """Those that hold messages ahead take one in turn, idle or not: Redis serves who waits longest."""
        while self._queue and (room := [one for one in self._workers if self._has_room(one)]):
            longest = min(room, key=lambda worker: worker.served_at)
            (room[0] if self._pulling.one_first else longest).claim(self._queue.popleft(), now)

    def _has_room(self, worker: Worker) -> bool:
        return worker.held < self._pulling.ahead

    def _claim(self, worker: Worker, now: float) -> None:
        """What a free worker takes at once: enough for a full batch, or its share of it."""
        wanted = min(len(self._queue), self._largest - worker.held)
        if self._pulling.shares:
            free = sum(one.is_idle or one.ends_at <= now + self._soon for one in self._workers)
            wanted = share(len(self._queue), free, self._largest)
        for _ in range(wanted):
            worker.claim(self._queue.popleft(), now)
