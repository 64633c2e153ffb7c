"""What the simulator asks of a policy, and the shipped batcher behind those questions."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from batching.batch import Batch
from batching.batcher import Batcher
from batching.forecast import Forecast
from batching.item import Item
from batching.latency import Ran
from batching.limits import Limits
from batching.sight import Sight
from bench.simulation.cost import Cost

Members = tuple[Item, ...]

#: The lane of what has missed its deadline.
LAST = float("inf")


class Policy(Protocol):
    """Decides which items run together, and when. All times are in simulated seconds."""

    def add(self, item: Item) -> None:
        """`item` was enqueued, at `item.enqueued_at`, whether or not the engine runs."""
        ...

    def take(self, now: float, /) -> Members:
        """The batch that the free engine runs now; empty to leave it idle."""
        ...

    def wake_at(self) -> float | None:
        """When to ask again if nothing else arrives; None if nothing waits. Asked after an empty `take`."""
        ...

    def ran(self, _members: Members, started_at: float, ended_at: float, /) -> None:
        """The batch has run, and the engine is free again."""
        ...


class Shipped:
    """The batcher of the worker itself, with the settings of the worker.

    It starts from a calibration, as the worker does after its warm-up, or learns from its first batches.
    """

    def __init__(
        self,
        largest: int,
        *,
        smallest: int = 1,
        window: float = 0.1,
        seconds: float = float("inf"),
        urgent_seconds: float = float("inf"),
        tenants: Mapping[str, float] | None = None,
        calibration: Sequence[Ran] = (),
    ) -> None:
        limits = Limits(
            max_batch_size=largest,
            min_batch_size=smallest,
            max_batch_wait=window,
            max_batch_seconds=seconds,
            urgent_seconds=urgent_seconds,
            tenant_weights=tenants or {},
        )
        self._batcher = Batcher(limits, Forecast(calibration))
        self._running: Batch | None = None

    def add(self, item: Item) -> None:
        """It waits in the batcher."""
        self._batcher.add(item)

    def wake_at(self) -> float | None:
        """When the batcher would start something without further items."""
        return self._batcher.wake_at()

    def plan(self, at: float) -> None:
        """What the worker asks for shortly before its engine is free."""
        self._batcher.plan(at)

    def take(self, now: float, /) -> Members:
        """What the batcher gives a free engine."""
        self._running = self._batcher.take(now)
        return self._running.items if self._running else ()

    def ran(self, _members: Members, started_at: float, ended_at: float, /) -> None:
        """The batcher learns how long it took."""
        if self._running is not None:
            self._batcher.ran(self._running, ended_at - started_at)


class Claiming(Shipped):
    """The same in a worker, which sees what it holds: up to `most` items, claimed as they came."""

    def __init__(self, largest: int, most: int, *, calibration: Sequence[Ran] = ()) -> None:
        super().__init__(largest, calibration=calibration)
        self._most = most
        self._queue: deque[Item] = deque()

    def add(self, item: Item) -> None:
        """It waits in the queue, unless there is room for it."""
        self._queue.append(item)
        self._claim()

    def take(self, now: float, /) -> Members:
        """As ever; what then has room is claimed for the next time."""
        members = super().take(now)
        self._claim()
        return members

    def _claim(self) -> None:
        while self._queue and len(self._batcher) < self._most:
            super().add(self._queue.popleft())


class Seeing(Shipped):
    """The same in a worker that claims by name: it holds what it will run, and sees `most` of what waits.

    What has missed its deadline when it is claimed goes behind all others, as in the worker.
    """

    def __init__(self, largest: int, most: int, **settings: Any) -> None:
        super().__init__(largest, **settings)
        self._largest, self._most = largest, most
        self._sight = Sight(self._batcher)
        self._lanes: defaultdict[float, dict[Hashable, Item]] = defaultdict(dict)

    def add(self, item: Item) -> None:
        """It waits in its lane."""
        self._lanes[item.rank][item.id] = item

    def take(self, now: float, /) -> Members:
        """As ever, among what has been claimed for this batch."""
        for lane, item in self._seen():
            if lane < LAST and item.deadline_at is not None and item.deadline_at < now:
                self._lanes[LAST][item.id] = self._lanes[lane].pop(item.id)
        seen, room = self._seen(), self._largest - len(self._batcher)
        chosen = self._sight.choose([item for _, item in seen], room, now)
        for lane, item in seen[:room] if chosen is None else [one for one in seen if one[1] in chosen]:
            super().add(self._lanes[lane].pop(item.id))
        return super().take(now)

    def _seen(self) -> list[tuple[float, Item]]:
        """Each with its lane."""
        waiting = ((lane, item) for lane in sorted(self._lanes) for item in self._lanes[lane].values())
        return list(islice(waiting, self._most))


def calibration(cost: Cost, largest: int, lengths: Sequence[float] = (0.0,)) -> list[Ran]:
    """What a warm-up on this engine measures: the sizes 1, 2, 4 … `largest` at each of `lengths`."""
    sizes = [size for size in (1, 2, 4, 8, 16, 32, 64) if size < largest] + [largest]
    return [
        Ran(size=size, longest=length, seconds=cost.seconds(_alike(size, length)))
        for size in sizes
        for length in lengths
    ]


def _alike(size: int, length: float) -> list[Item]:
    return [Item(id=number, key="one", enqueued_at=0.0, cost=length) for number in range(size)]
