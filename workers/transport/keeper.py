"""Keeps this worker's lease, and looks after the messages of workers that have lost theirs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import redis

from workers.transport.claims import Claims, LeaseLost
from workers.transport.memory import Memory
from workers.trouble import Trouble

log = logging.getLogger(__name__)

#: Renewals a lease: with 4 s and a renewal a second, three may fail before it runs out.
RENEW_SECONDS = 1.0

#: How often the leases of others are looked at: a dead worker's messages wait this long at most once
#: its lease has run out. A renewal that failed is tried again as often.
SWEEP_SECONDS = 0.5

#: Time since the last renewal, in seconds, after which the leases of living workers may have run out too,
#: because Redis was away for all: a lease, less the second since a renewal and another to spare.
AWAY_SECONDS = 2.0

#: How long the leases of others are left alone after that, and after the start, in seconds. Then every lease
#: looks like that of a dead worker; a living one renews it within the time-out of a call, 2 s, and a turn.
GRACE_SECONDS = 3.0


class Keeper:
    """A thread of the worker's parent, where neither a model nor a slow settlement can starve it."""

    def __init__(self, claims: Claims, memory: Memory, on_lost: Callable[[str], None]) -> None:
        """`on_lost` is called on this thread with the id whose lease was lost, until a new one is taken."""
        self._claims = claims
        self._memory = memory
        self._on_lost = on_lost
        self._trouble = Trouble(log, "could not reach Redis to renew the lease")
        self._renewed_at = float("-inf")
        self._sweep_at = float("-inf")
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Take the lease, then keep it until `stop`. Raises `redis.RedisError`."""
        self._claims.take_lease()
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing; the lease runs out unless it is given back."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(SWEEP_SECONDS):
            try:
                self._keep()
            except redis.RedisError as error:
                self._trouble.met(error)

    def _keep(self) -> None:
        """One turn. A renewal that fails is tried again in the next; until it succeeds nobody is swept."""
        since = time.monotonic() - self._renewed_at
        if since > RENEW_SECONDS - SWEEP_SECONDS / 2:  # every other turn
            self._renew()
            self._renewed_at = time.monotonic()
            if since > AWAY_SECONDS:
                self._sweep_at = self._renewed_at + GRACE_SECONDS
                self._look_for_loss()
        if time.monotonic() >= self._sweep_at:
            self._sweep()

    def _renew(self) -> None:
        worker_id = self._claims.worker_id
        try:
            self._claims.renew()
        except LeaseLost as lost:
            log.warning("%s; its messages run elsewhere, this worker starts anew", lost)
            self._look_for_loss()
            self._on_lost(worker_id)
        self._trouble.over()

    def _look_for_loss(self) -> None:
        if self._memory.is_lost():
            log.error(
                "Redis has forgotten everything, it must have restarted without its data:"
                " requests that were accepted and not finished are lost, and must be submitted again"
            )

    def _sweep(self) -> None:
        if returned := self._claims.return_dead():
            log.warning("a worker died; returned %d of its messages to the queue", returned)
