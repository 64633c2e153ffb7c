"""What a worker claims by name, and when it does not even look for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from protocol.options import Options
from protocol.request import Encoding, Payload, Priority, Request
from workers.ahead import Ahead
from workers.choosing import Choosing
from workers.settings_blocks import Batching
from workers.transport.claims import LANES, Shown
from workers.waiting import Waiting

SIZE = 2
NOW = 1.8e9


def request(name: str) -> Request:
    """One of those that share a batch with the others whose names begin as its does; "-late" is late.

    All are of the least urgent, whom nobody else has to let pass.
    """
    options = Options(beam_size=1 + "abc".index(name[0]))
    payload = Payload(encoding=Encoding.PCM, length=8_000, key=f"segue:audio:{name}")
    deadline_at = NOW - 1.0 if name.endswith("-late") else None
    return Request(
        request_id=name,
        payload=payload,
        options=options,
        priority=Priority.BULK,
        submitted_at=NOW - 9.0 if deadline_at else NOW,
        deadline_at=deadline_at,
    )


class Desk:
    """The worker around, with an engine that runs a batch, and a lane to look at."""

    def __init__(self, *lane: str, number: int = len(LANES)) -> None:
        self.lane = lane
        self.number = number
        self.looks = 0
        self.waiting = Waiting(Batching(max_batch_size=SIZE, min_batch_size=1))
        self.ahead = Ahead(
            2 * SIZE,
            look=self.look,
            read=lambda message: request(message.decode()),
            held=self.waiting.works,
            now=lambda: NOW,
            call_later=lambda *_: None,
        )
        self.choosing = Choosing(self.ahead, self.waiting, lambda: NOW)

    def look(self, count: int) -> Sequence[Shown]:
        self.looks += 1
        return [Shown(self.number, name.encode()) for name in self.lane[:count]]

    def begin(self) -> Desk:
        """A batch begins, and a look is had during it."""
        self.ahead.begin(None, None)  # type: ignore[arg-type]  # nothing is sent to its engine process
        self.ahead.look()
        return self

    def hold(self, name: str) -> Desk:
        message: Any = object()
        self.waiting.add(message, request(name), NOW)
        return self


def test_messages_that_share_a_batch_are_named() -> None:
    """They are claimed wherever they wait, as the batcher would choose if it held all."""
    assert Desk("a1", "b1", "c1", "a2").begin().choosing() == [b"a1", b"a2"]


def test_no_more_are_named_than_there_is_room_for() -> None:
    """What is held counts: it is a member, and it takes a place."""
    assert Desk("b1", "a2", "a3").hold("a1").begin().choosing() == [b"a2"]


def test_what_has_missed_its_deadline_is_left_for_last() -> None:
    """However long it has waited on the last lane, all others go before it."""
    assert Desk("a-late", "a2", "a3").begin().choosing() == [b"a2", b"a3"]


@pytest.mark.parametrize("others", [["a2"], ["a2", "a3"], ["a2", "a3", "b1"]])
def test_what_is_to_be_put_last_takes_no_place(others: list[str]) -> None:
    """It is claimed from its lane besides, whether or not there is a choice among the others."""
    desk = Desk("a-late", "b-late", *others, number=1).begin()
    assert desk.choosing() == [b"a-late", b"b-late", *(name.encode() for name in others[:SIZE])]


def test_alike_are_claimed_in_order_without_another_look() -> None:
    """The cheap claim is as good: nothing is asked of Redis for it."""
    desk = Desk("a1", "a2", "a3").begin()
    assert (desk.choosing(), desk.looks) == (None, 1)


def test_few_are_claimed_in_order_without_another_look() -> None:
    """All of them fit."""
    desk = Desk("a1", "b1").begin()
    assert (desk.choosing(), desk.looks) == (None, 1)


def test_idle_worker_claims_in_order() -> None:
    """Before anything was seen there is nothing to choose from."""
    desk = Desk("a1", "b1", "a2")
    assert (desk.choosing(), desk.looks) == (None, 0)


def test_choice_is_among_what_waits_now() -> None:
    """Others claim, too: what was seen earlier only says whether another look is worth it."""
    desk = Desk("a1", "b1", "a2", "b2").begin()
    desk.lane = ("b2", "c1", "b3")
    assert desk.choosing() == [b"b2", b"b3"]
    desk.lane = ("b3",)
    assert desk.choosing() is None
