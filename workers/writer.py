"""Writes what a batch has to write, and again for as long as Redis does not take it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import redis

from workers.settle import BatchedBackend, Writes
from workers.transport.claims import LeaseLost

log = logging.getLogger(__name__)

#: Pause before results that Redis did not take are written again, in seconds.
AGAIN_SECONDS = 0.5

CallLater = Callable[..., Any]
"""Of the event loop: seconds, what to call, its arguments."""


class Writer:
    """The way of results to Redis. Nothing is dropped while the worker lives and holds its lease."""

    def __init__(self, backend: BatchedBackend, call_later: CallLater) -> None:
        self._backend = backend
        self._call_later = call_later
        self._unwritten: list[Writes] = []

    @property
    def is_behind(self) -> bool:
        """Whether Redis has not taken everything yet; no new work is claimed meanwhile."""
        return bool(self._unwritten)

    def write(self, writes: Writes) -> None:
        """Write now, or keep it for later if Redis is away or full."""
        try:
            self._backend.write(writes)
        except redis.RedisError as error:
            log.error("could not store %d results, trying again: %s", len(writes.results), error)
            self._unwritten.append(writes)
            self._call_later(AGAIN_SECONDS, self.write_again)
        except LeaseLost as lost:
            log.warning("%s", lost)

    def write_again(self) -> None:
        """Try again what has been kept."""
        unwritten, self._unwritten = self._unwritten, []
        for writes in unwritten:
            self.write(writes)

    def forget(self) -> None:
        """Drop what has been kept: the lease is lost, and it is computed elsewhere."""
        self._unwritten.clear()
