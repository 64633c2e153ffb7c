"""An event loop whose clock jumps to the next timer: code that waits runs as fast as it computes.

Needs nothing but Python, since the Pythons of the peers run a copy of it.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

#: By how much a wait lasts longer than asked, in seconds, as every wait does. Without it, code that waits
#: again for what the rounding of its clock has left over would do so for ever.
LATE = 1e-9


class Jumping(selectors.DefaultSelector):
    """Waits for nothing, and moves the clock by as long as it was asked to wait."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready already, else the time passes."""
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("nothing will ever happen: no timer runs and no file is ready")
        if not ready and timeout:
            self.now += timeout + LATE
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which begins at 0 s."""

    def __init__(self) -> None:
        self._jumping = Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds since the beginning."""
        return self._jumping.now

    @property
    def time_module(self) -> Any:
        """What code that reads the clock is given for `time`."""
        return SimpleNamespace(time=self.time, monotonic=self.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a peer is to run."""

    enqueued_at: Sequence[float]
    """Seconds, rising."""
    largest: int
    window: float
    base: float
    each: float

    def seconds(self, size: int) -> float:
        """How long the engine takes for a batch."""
        return self.base + self.each * size


class Record:
    """When each item ended, and how large the batches were."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.ended_at = [0.0] * len(told.enqueued_at)
        self.sizes: list[int] = []

    async def engine(self, items: Sequence[int]) -> list[int]:
        """Run a batch of items, known by their numbers."""
        await asyncio.sleep(self._told.seconds(len(items)))
        self.ran(items, asyncio.get_running_loop().time())
        return list(items)

    def ran(self, items: Sequence[int], at: float) -> None:
        """A batch has run."""
        self.sizes.append(len(items))
        for number in items:
            self.ended_at[number] = at


def told() -> Told:
    """What stands in the standard input."""
    return Told(**json.load(sys.stdin))


def tell(record: Record) -> None:
    """Write it where the caller reads it."""
    json.dump({"ended_at": record.ended_at, "sizes": record.sizes}, sys.stdout)


async def submit_all(times: Sequence[float], submit: Callable[[int], Awaitable[object]]) -> None:
    """Submit each number at its time, and wait for all."""
    loop = asyncio.get_running_loop()
    waiting = []
    for number, at in enumerate(times):
        await asyncio.sleep(at - loop.time())
        waiting.append(asyncio.ensure_future(submit(number)))
    await asyncio.gather(*waiting)
