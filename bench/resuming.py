"""How soon work goes on once a fault is over: an urgent request that is submitted then, and its result.

What waits is of normal priority, so that its length says nothing: the request is the next that anybody takes.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from types import TracebackType
from typing import Self

import numpy as np

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


class Resuming:
    """Asks on threads of its own; `seconds` says what it found by kind of fault, when the context is left."""

    def __init__(self, redis_url: str) -> None:
        self._client = Client(redis_url)
        self._threads = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="resuming")
        self._numbers = count()
        self._ending = threading.Event()
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._threads.shutdown()
        self._client.close()

    def ended(self, kind: str, hostname: str = "") -> None:
        """A fault is over right now: ask for a result, of this worker if it befell only that one."""
        self._threads.submit(self._ask, kind, hostname, time.monotonic())

    def _ask(self, kind: str, hostname: str, ended_at: float) -> None:
        while not self._ending.is_set():
            served_by = self._answer(ended_at + PATIENCE_SECONDS - time.monotonic())
            seconds = time.monotonic() - ended_at
            if (served_by and hostname in ("", served_by)) or seconds > PATIENCE_SECONDS:
                self.seconds[kind].append(seconds)
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
