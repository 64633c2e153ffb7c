"""How soon work goes on once a fault is over: an urgent request that is submitted then, and its result.

What waits is of normal priority, so that its length says nothing: the request is the next that anybody takes.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Self

import numpy as np

from bench.history import Event, What
from bench.load import SAMPLES
from producer import Client
from protocol.errors import TranscriptionError

#: What the names of these requests begin with; the history of a storm is without them.
PROBE = "probe-"

#: How long a worker may take to answer, in seconds, before it is said to have taken that long.
PATIENCE_SECONDS = 60.0

#: Pause before a submit that was refused is repeated, in seconds.
AGAIN_SECONDS = 0.02

#: Most faults whose ends are looked at side by side.
SIDE_BY_SIDE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    """What is asked for when a fault is over."""

    kind: str
    hostname: str
    ended_at: float
    begun: int
    """How many faults had begun that befell all workers."""


class Resuming:
    """Asks on threads of its own; `seconds` says what it found by kind of fault, when the context is left."""

    def __init__(self, redis_url: str) -> None:
        self._client = Client(redis_url)
        self._threads = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="resuming")
        self._numbers = count()
        self._ending = threading.Event()
        self._begun = 0
        self._lasting = 0
        self._healed: list[_Ask] = []
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._threads.shutdown()
        self._client.close()

    def began(self, *, lasts: bool) -> None:
        """A fault has begun that befalls all workers: until it has `ended`, if it lasts."""
        self._begun += 1
        self._lasting += lasts

    def ended(self, kind: str, hostname: str = "", *, lasted: bool = False) -> None:
        """A fault is over right now: ask for a result, of this worker if it befell only that one.

        One that overlaps with another, before the answer is there, says nothing.
        """
        self._lasting -= lasted
        ask = _Ask(kind=kind, hostname=hostname, ended_at=time.monotonic(), begun=self._begun)
        if hostname:
            self._healed.append(ask)
        if not self._lasting:
            self._threads.submit(self._ask, ask)

    def read(self, events: Sequence[Event]) -> None:
        """Find the first result of each worker that was back, whoever had asked for it."""
        told = [(one.by.partition("/")[0], one.at) for one in events if one.what is What.TOLD and one.at]
        for ask in self._healed:
            if after := [at for by, at in told if by == ask.hostname and at > ask.ended_at]:
                self.seconds[ask.kind].append(min(after) - ask.ended_at)

    def _ask(self, ask: _Ask) -> None:
        while not self._ending.is_set():
            served_by = self._answer(ask.ended_at + PATIENCE_SECONDS - time.monotonic())
            seconds = time.monotonic() - ask.ended_at
            if (served_by and ask.hostname in ("", served_by)) or seconds > PATIENCE_SECONDS:
                if self._begun == ask.begun and not ask.hostname:
                    self.seconds[ask.kind].append(seconds)
                return

    def _answer(self, timeout: float) -> str:
        """The worker that has served an urgent request; empty if Redis refused, or nobody did in time."""
        audio = np.zeros(SAMPLES, np.int16)
        try:
            ticket = self._client.submit(audio, request_id=f"{PROBE}{next(self._numbers)}", priority="urgent")
            receipt = ticket.result(timeout).timings
        except TimeoutError:
            return ""
        except TranscriptionError:
            time.sleep(AGAIN_SECONDS)
            return ""
        return receipt.worker if receipt else ""
