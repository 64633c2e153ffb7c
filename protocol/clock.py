"""What time it is for everybody: Redis's clock, read once and carried on locally."""

from __future__ import annotations

import time
from collections.abc import Callable

#: How long one reading is carried on, in seconds: two ordinary clocks drift apart by at most about
#: 50 ppm, so by 3 ms in this time.
REFRESH_SECONDS = 60.0


class SharedClock:
    """Redis's time without a round trip for every look.

    Producers stamp requests with it and workers measure their age with it, so that the wall clocks
    of the machines do not matter.
    """

    def __init__(
        self,
        read: Callable[[], tuple[int, int]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`read` returns Redis's ``TIME``: seconds and microseconds since the epoch."""
        self._read = read
        self._monotonic = monotonic
        self._offset = 0.0
        self._read_at = float("-inf")

    def now(self) -> float:
        """Seconds since the epoch on Redis's clock; asks Redis at most once a minute."""
        before = self._monotonic()
        if before - self._read_at > REFRESH_SECONDS:
            self._refresh(before)
        return self._offset + self._monotonic()

    def _refresh(self, before: float) -> None:
        try:
            seconds, microseconds = self._read()
        except Exception:
            if self._read_at == float("-inf"):
                raise
            self._read_at = self._monotonic()  # Redis is away: go on with what was read last
            return
        after = self._monotonic()
        self._offset = seconds + microseconds / 1e6 - (before + after) / 2
        self._read_at = after
