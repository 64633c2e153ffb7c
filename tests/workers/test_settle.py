"""How much of what a batch has to write goes to Redis in one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from workers import settle as module
from workers.result_backend import BatchedBackend
from workers.settle import PARCEL_BYTES, settle
from workers.transport.settlement import Result
from workers.writes import Writes


class Backend:
    """Holds nothing back but an empty sheet."""

    @contextmanager
    def held_back(self) -> Iterator[Writes]:
        yield Writes()


class Message:
    """A request that is not finished, so that nothing else of it is written."""

    is_finished = False

    def __init__(self, number: int) -> None:
        self.delivery_tag = str(number)

    def acknowledge_with(self, writes: Writes) -> None:
        self.writes = writes
        writes.acknowledge(self)


@pytest.fixture(autouse=True)
def no_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of Celery's tracer: an outcome is the result that is stored."""

    def trace(message: Message, outcome: Any, _: float) -> None:
        message.writes.settlement.results.append(Result(key=message.delivery_tag, value=outcome, ttl=1))

    monkeypatch.setattr(module, "_trace", trace)


def sizes(*results: int, superseded: tuple[Any, ...] = ()) -> list[list[int]]:
    """The sizes of what is written in each step."""
    finished: list[tuple[Any, Any]] = [(Message(nth), bytes(size)) for nth, size in enumerate(results)]
    parcels = settle(cast(BatchedBackend, Backend()), finished, superseded, engine_seconds=1.0)
    expected = [[result.key for result in one.settlement.results] for one in parcels]
    expected[-1] += [one.tag for one in superseded]
    assert [one.settlement.tags for one in parcels] == expected  # each with its own result
    return [[len(result.value) for result in one.settlement.results] for one in parcels]


def test_a_batch_is_written_in_one_step() -> None:
    """Also one of many requests, and one of none, which may have earlier messages to acknowledge."""
    assert sizes(*[8_000] * 256) == [[8_000] * 256]
    earlier = SimpleNamespace(tag="t", message=SimpleNamespace(delivery_tag="t"))
    assert sizes(superseded=(earlier,)) == [[]]


def test_a_batch_of_much_is_written_in_several() -> None:
    """None begins with as much as one may have, and earlier messages go with the last."""
    half = PARCEL_BYTES // 2
    earlier = SimpleNamespace(tag="t", message=SimpleNamespace(delivery_tag="t"))
    assert sizes(*[half] * 5, superseded=(earlier,)) == [[half, half], [half, half], [half]]
    assert sizes(half, PARCEL_BYTES, 1, 2 * PARCEL_BYTES, 1) == [
        [half, PARCEL_BYTES],
        [1, 2 * PARCEL_BYTES],
        [1],
    ]
