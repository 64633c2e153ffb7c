"""The way of results to Redis: kept in order, tried again by one alarm, dropped by none but a lost lease."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import redis

from workers.result_backend import BatchedBackend
from workers.transport.claims import LeaseLost
from workers.writer import Writer
from workers.writes import Writes


class Backend:
    """Takes what it is given, unless it has an `error`."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.taken: list[Writes] = []
        self.asked = 0

    def write(self, writes: Writes) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.taken.append(writes)


class Alarm:
    """What an event loop gives for a call later."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def alarms() -> list[Alarm]:
    """The calls that have been asked for, the latest last."""
    return []


@pytest.fixture
def writer(backend: Backend, alarms: list[Alarm]) -> Writer:
    def call_later(_: float, callback: Callable[[], None]) -> Any:
        alarms.append(Alarm(callback))
        return alarms[-1]

    return Writer(cast(BatchedBackend, backend), call_later)


def ring(alarms: list[Alarm]) -> None:
    """Let the time of all alarms come that are set."""
    due, alarms[:] = [alarm for alarm in alarms if not alarm.is_cancelled], []
    for alarm in due:
        alarm.callback()


def test_refused_writes_follow_in_order(writer: Writer, backend: Backend, alarms: list[Alarm]) -> None:
    """What Redis did not take is written when it does, the oldest first; until then the writer is behind."""
    backend.error = redis.ConnectionError("away")
    batches = [Writes(), Writes(), Writes()]
    for batch in batches:
        writer.write(batch)
    assert writer.is_behind
    backend.error = None
    ring(alarms)
    assert [id(one) for one in backend.taken] == [id(one) for one in batches]
    assert not writer.is_behind


def test_attempts_do_not_multiply(writer: Writer, backend: Backend, alarms: list[Alarm]) -> None:
    """However much is kept, one attempt a pause asks a Redis that is away once: the loop has other work."""
    backend.error = redis.TimeoutError("silent")
    writer.write(Writes())
    writer.write(Writes())
    for _ in range(5):
        backend.asked = 0
        ring(alarms)
        assert backend.asked == 1


def test_late_results_are_dropped_and_the_next_written(writer: Writer, backend: Backend) -> None:
    """A lost lease ends one batch's write, not the writer."""
    backend.error = LeaseLost("too late")
    writer.write(Writes())
    assert not writer.is_behind
    backend.error = None
    writer.write(Writes())
    assert len(backend.taken) == 1


def test_parcels_are_written_in_order_and_wait_for_each_other(
    writer: Writer, backend: Backend, alarms: list[Alarm]
) -> None:
    """Redis is asked once while it is away, however many there are."""
    first, second = Writes(), Writes()
    backend.error = redis.ConnectionError("away")
    writer.write(first, second)
    assert (backend.asked, len(alarms)) == (1, 1)
    backend.error = None
    alarms[-1].callback()
    assert [id(one) for one in backend.taken] == [id(first), id(second)]


def test_a_lost_lease_ends_one_parcel(writer: Writer, backend: Backend) -> None:
    """The next says for itself whether it is too late."""
    backend.error = LeaseLost("too late")
    writer.write(Writes(), Writes())
    assert (backend.asked, writer.is_behind) == (2, False)
