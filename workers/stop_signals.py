"""Who tells a worker twice to stop, by SIGTERM or however else, will not wait for its batch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from celery.signals import worker_shutting_down


class StopSignals:
    """Counts them, and calls `on_second` at the second and all that follow, between any two instructions.

    Celery tells of each in its handler, under a lock that is not reentrant (celery 5.7): a second signal that
    came while the first was told of waited there for itself, for ever. Hence another lock.
    """

    def __init__(self, on_second: Callable[[], None]) -> None:
        self._on_second = on_second
        self._heard = 0
        worker_shutting_down.lock = threading.RLock()
        worker_shutting_down.connect(self._hear)

    def _hear(self, **_: Any) -> None:
        self._heard += 1
        if self._heard > 1:
            self._on_second()
