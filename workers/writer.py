"""Writes what a batch has to write, and again for as long as Redis does not take it."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

import redis

from workers.later import CallLater, cancel
from workers.result_backend import BatchedBackend
from workers.transport.claims import LeaseLost
from workers.trouble import Trouble
from workers.writes import Writes

log = logging.getLogger(__name__)

#: Pause before results that Redis did not take are written again, in seconds.
AGAIN_SECONDS = 0.5


class Writer:
    """The way of results to Redis. Nothing is dropped while the worker lives and holds its lease."""

    def __init__(self, backend: BatchedBackend, call_later: CallLater) -> None:
        self._backend = backend
        self._call_later = call_later
        self._unwritten: deque[Writes] = deque()
        self._alarm: Any = None
        self._trouble = Trouble(log, "could not store results")

    @property
    def is_behind(self) -> bool:
        """Whether Redis has not taken everything yet; no new work is claimed meanwhile."""
        return bool(self._unwritten)

    def write(self, *parcels: Writes) -> None:
        """Write now, or keep it for later if Redis is away or full."""
        self._unwritten.extend(parcels)
        self.write_again()

    def write_again(self) -> None:
        """Write what has been kept, in order, as far as Redis takes it."""
        while self._unwritten:
            writes = self._unwritten.popleft()
            try:
                self._backend.write(writes)
            except redis.RedisError as error:
                self._unwritten.appendleft(writes)
                self._trouble.met(error)
                self._try_later()
                return
            except LeaseLost as lost:
                log.warning("%s", lost)
        self._trouble.over()

    def forget(self) -> None:
        """Drop what has been kept: the lease is lost, and it is computed elsewhere."""
        self._unwritten.clear()

    def _try_later(self) -> None:
        """One alarm for all that is kept, or each failure would double them."""
        cancel(self._alarm)
        self._alarm = self._call_later(AGAIN_SECONDS, self.write_again)
