"""A worker that is told to stop, and told again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from celery.signals import worker_shutting_down

from workers.stop_signals import StopSignals


@pytest.fixture(autouse=True)
def _celerys_own_lock() -> Iterator[None]:
    lock = worker_shutting_down.lock = threading.Lock()
    yield
    worker_shutting_down.lock = lock


def test_second_signal_hurries() -> None:
    """The first does not; the third does as the second."""
    hurries: list[int] = []
    signals = StopSignals(lambda: hurries.append(1))
    told = []
    for _ in range(3):
        worker_shutting_down.send(sender="w@host")
        told.append(len(hurries))
    assert told == [0, 1, 2]
    del signals


def test_second_signal_may_interrupt_the_first() -> None:
    """While Celery tells of the first under its lock, the second is told of all the same.

    The lock is asked for without waiting, or this would hang where it fails.
    """
    hurries: list[int] = []
    signals = StopSignals(lambda: hurries.append(1))
    with worker_shutting_down.lock:
        is_free = worker_shutting_down.lock.acquire(blocking=False)
        assert is_free
        worker_shutting_down.lock.release()
        worker_shutting_down.send(sender="w@host")
        worker_shutting_down.send(sender="other@host")
    assert len(hurries) == 1
    del signals
