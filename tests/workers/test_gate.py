"""What becomes of a batch whose engine has died, and of those who must run alone: anybody's, if it can be."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from kombu.transport.virtual import QoS

from protocol.request import Encoding, Payload, Request
from workers.gate import Gate
from workers.run import Run, Work
from workers.settings_blocks import Batching
from workers.transport.claims import LeaseLost
from workers.transport.starting import May, Verdict
from workers.waiting import Waiting
from workers.writes import Writes

CHANNEL = SimpleNamespace(do_restore=False)


@dataclass(eq=False)
class Message:
    """Celery's request, as far as it is looked at."""

    id: str
    message: Any = field(default_factory=lambda: SimpleNamespace(channel=SimpleNamespace(qos=QoS(CHANNEL))))

    def acknowledge_with(self, writes: object) -> None:
        """It is not acknowledged here."""

    def revoked(self) -> bool:
        """Neither revoked nor expired."""
        return False

    def __post_init__(self) -> None:
        self.delivery_tag = self.message.delivery_tag = f"tag of {self.id}"


class Desk:
    """Claims that count deaths, or fail, and remember what was put back."""

    def __init__(self, counting: Exception | None = None, putting: Exception | None = None) -> None:
        self._counting, self._putting = counting, putting
        self.returned: tuple[str, ...] = ()

    def count_deaths(self) -> dict[str, int]:
        """Nobody has died alone."""
        if self._counting:
            raise self._counting
        return {"a": 0, "b": 0}

    def count_living(self) -> int:
        """Three workers."""
        return 3

    def put_back(self, *tags: str) -> None:
        """Remember them."""
        if self._putting:
            raise self._putting
        self.returned = tags


def request(name: str) -> Request:
    return Request(
        request_id=name, payload=Payload(encoding=Encoding.PCM, length=16_000, key=f"audio:{name}")
    )


def died(desk: Desk | None) -> Waiting:
    """What waits after an engine has died of a batch of two, while a third waited."""
    waiting = Waiting(Batching())
    for name in "ab":
        waiting.add(Message(name), request(name), now=0.0)
    taken = waiting.take(1e9)
    assert taken is not None
    batch, works = taken
    waiting.add(Message("c"), request("c"), now=0.0)
    backend: Any = SimpleNamespace(claims=desk)
    gate = Gate(backend, waiting, "w", settle=unexpected, write=unexpected)
    gate.engine_died_of(Run(number=1, batch=batch, works=tuple(works)), "died")
    return waiting


def unexpected(*_: object) -> None:
    pytest.fail("nobody's result is due")


def names(works: list[Work]) -> set[tuple[str, bool]]:
    """Who waits, and whether alone."""
    return {(work.request.request_id, work.item.alone) for work in works}


KEPT = {("a", True), ("b", True), ("c", False)}


def test_all_goes_back_when_the_death_is_on_record() -> None:
    """What ran and what waited: whoever claims it hears of the death."""
    desk = Desk()
    waiting = died(desk)
    assert sorted(desk.returned) == ["tag of a", "tag of b", "tag of c"]
    assert waiting.works() == []


@pytest.mark.parametrize("error", [redis.ConnectionError("away"), LeaseLost("lost")])
def test_a_death_that_is_not_on_record_keeps_all_here(error: Exception) -> None:
    """Elsewhere the members would run in company again."""
    desk = Desk(counting=error)
    assert names(died(desk).works()) == KEPT
    assert desk.returned == ()


@pytest.mark.parametrize("error", [redis.ConnectionError("away"), LeaseLost("lost")])
def test_what_cannot_be_put_back_runs_here(error: Exception) -> None:
    """Each member alone."""
    assert names(died(Desk(putting=error)).works()) == KEPT


def test_kombus_own_transport_keeps_all_here() -> None:
    """It knows no way back that others would hear of at once."""
    assert names(died(None).works()) == KEPT


def admitted(desk: Desk | None, verdicts: str) -> tuple[set[str], set[tuple[str, bool]]]:
    """Who of a batch runs now, and who waits then; by a letter for each: r may run, a only alone."""
    waiting = Waiting(Batching())
    all_of = [str(number) for number in range(len(verdicts))]
    for name in all_of:
        waiting.add(Message(name), request(name), now=0.0)
    taken = waiting.take(1e9)
    assert taken is not None
    may = {"r": Verdict(may=May.RUN), "a": Verdict(may=May.RUN_ALONE)}
    said = {name: may[one] for name, one in zip(all_of, verdicts, strict=True)}
    backend: Any = SimpleNamespace(
        claims=desk,
        start=lambda messages, _: [said[one.id] for one in messages],
        held_back=lambda: nullcontext(Writes()),
    )
    gate = Gate(backend, waiting, "w", settle=unexpected, write=unexpected)
    return {work.request.request_id for work in gate.admit(taken[1])}, names(waiting.works())


def test_who_must_run_alone_is_shared_with_the_neighbours() -> None:
    """Of five suspects one of three workers keeps two, the first; the rest of the batch runs meanwhile."""
    desk = Desk()
    assert admitted(desk, "aarraaa") == ({"2", "3"}, {("0", True), ("1", True)})
    assert sorted(desk.returned) == ["tag of 4", "tag of 5", "tag of 6"]


@pytest.mark.parametrize("desk", [None, Desk(putting=redis.ConnectionError("away"))], ids=["kombu", "away"])
def test_who_cannot_be_shared_runs_alone_here(desk: Desk | None) -> None:
    """With kombu's own transport, and when Redis is away."""
    assert admitted(desk, "aaa") == (set(), {("0", True), ("1", True), ("2", True)})


@pytest.mark.parametrize("error", [redis.ConnectionError("away"), redis.ResponseError("MISCONF no disk")])
def test_nobody_runs_while_redis_does_not_say_who_may(error: Exception) -> None:
    """Somebody may have been cancelled, or have killed an engine: all wait as they did."""
    waiting = Waiting(Batching())
    for name in "ab":
        waiting.add(Message(name), request(name), now=0.0)
    taken = waiting.take(1e9)
    assert taken is not None

    def start(*_: object) -> None:
        raise error

    backend: Any = SimpleNamespace(start=start, held_back=lambda: nullcontext(Writes()))
    gate = Gate(backend, waiting, "w", settle=unexpected, write=unexpected)
    with pytest.raises(redis.RedisError):
        gate.admit(taken[1])
    assert names(waiting.works()) == {("a", False), ("b", False)}
