"""What the batcher expects: how long batches take, and what comes. Without a forecast it expects nothing."""

from __future__ import annotations

from collections.abc import Hashable

from batching.batch import Batch
from batching.forecast import Forecast, Known
from batching.item import Item
from batching.latency import Ran
from batching.limits import Limits
from batching.line import Line
from batching.traffic import Traffic
from batching.urgent import IN_BACKGROUND, capped
from batching.windows import Room

NEVER, AT_ONCE = float("inf"), float("-inf")


class Outlook:
    """A forecast, and the traffic that was seen."""

    def __init__(self, limits: Limits, forecast: Forecast | None) -> None:
        self._limits = limits
        self._forecast = forecast
        self._traffic = Traffic()

    def came(self, item: Item) -> None:
        """One more waits."""
        if self._forecast is not None and not item.alone:
            known = self._forecast.known(item.key)
            self._traffic.came(item, None if known is None else known.duration)

    def ran(self, batch: Batch, seconds: float) -> None:
        """The engine took so long."""
        if self._forecast is not None and seconds > 0:
            self._forecast.ran(batch.key, Ran(size=len(batch), longest=batch.longest, seconds=seconds))

    def known(self, key: Hashable) -> Known | None:
        """What a batch of a key takes; None if nothing is known yet."""
        return None if self._forecast is None else self._forecast.known(key)

    def probe(self, key: Hashable, size: int) -> int:
        """The size that a batch should have, instead of `size`, to teach the forecast what sizes cost."""
        asks = self._forecast is not None and self._forecast.asks(key, size)
        return max(1, size // 2) if asks else size

    @property
    def rate(self) -> float:
        """Items of any key that come in a second."""
        return self._traffic.rate

    def hold_until(self, key: Hashable, line: Line) -> float:
        """Until when the rest of a burst is worth waiting for; `AT_ONCE` if it is not."""
        known = self.known(key)
        if known is None:
            return AT_ONCE
        return self._traffic.hold_until(key, len(line), known.duration, float(line.lengths[-1]))

    def latest_start(self, key: Hashable, line: Line) -> float:
        """When a batch with one more would still end before the first deadline; `NEVER` if none is."""
        known = self.known(key)
        if known is None or not line.has_deadlines:
            return NEVER
        return line.first_deadline - known.late.seconds(len(line) + 1.0, float(line.lengths[-1]))

    def calm(self, line: Line, known: Known, now: float, room: Room) -> Room:
        """How far a batch may grow that shall not keep urgent items waiting."""
        seconds = self._limits.urgent_seconds
        if seconds == NEVER or not self._traffic.is_urgent(now):
            return room
        share = 1.0 if line.is_urgent else IN_BACKGROUND
        return capped(room, known.duration, float(line.lengths[-1]), self.rate, share * seconds)
