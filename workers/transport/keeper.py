"""Keeps this worker's lease, and looks after the messages of workers that have lost theirs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import redis

from workers.transport.claims import Claims, LeaseLost

log = logging.getLogger(__name__)

#: Renewals a lease: with 4 s and a renewal a second, three may fail before it runs out.
RENEW_SECONDS = 1.0

#: How often the leases of others are looked at: a dead worker's messages wait this long at most once
#: its lease has run out.
SWEEP_SECONDS = 0.5


class Keeper:
    """A thread of the worker's parent, where neither a model nor a slow settlement can starve it."""

    def __init__(self, claims: Claims, on_lost: Callable[[str], None]) -> None:
        """`on_lost` is called on this thread with the id whose lease was lost, until a new one is taken."""
        self._claims = claims
        self._on_lost = on_lost
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
        turns = round(RENEW_SECONDS / SWEEP_SECONDS)
        turn = 0
        while not self._stopped.wait(SWEEP_SECONDS):
            turn += 1
            try:
                if turn % turns == 0:
                    self._renew()
                self._sweep()
            except redis.RedisError as error:
                log.warning("could not reach Redis to renew the lease: %s", error)

    def _renew(self) -> None:
        worker_id = self._claims.worker_id
        try:
            self._claims.renew()
        except LeaseLost as lost:
            log.warning("%s; its messages run elsewhere, this worker starts anew", lost)
            self._on_lost(worker_id)

    def _sweep(self) -> None:
        if returned := self._claims.return_dead():
            log.warning("a worker died; returned %d of its messages to the queue", returned)
