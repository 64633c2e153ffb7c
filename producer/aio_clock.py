"""`protocol.clock.SharedClock`, awaited: Redis's time without a round trip for every look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from protocol.clock import REFRESH_SECONDS
from protocol.errors import TranscriptionError


class AwaitedClock:
    """Redis's clock for the coroutines of one event loop."""

    def __init__(
        self,
        read: Callable[[], Awaitable[tuple[int, int]]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`read` awaits Redis's ``TIME``: seconds and microseconds since the epoch."""
        self._read = read
        self._monotonic = monotonic
        self._offset = 0.0
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def now(self) -> float:
        """Seconds since the epoch on Redis's clock; asks Redis at most once a minute."""
        async with self._reading:
            if self._monotonic() - self._read_at > REFRESH_SECONDS:
                await self._refresh()
        return self._offset + self._monotonic()

    async def _refresh(self) -> None:
        before = self._monotonic()
        try:
            seconds, microseconds = await self._read()
        except TranscriptionError:
            if self._read_at == float("-inf"):
                raise
            self._read_at = self._monotonic()  # Redis is away: go on with what was read last
            return
        after = self._monotonic()
        self._offset = seconds + microseconds / 1e6 - (before + after) / 2
        self._read_at = after
