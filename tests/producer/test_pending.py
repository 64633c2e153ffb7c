"""Waiting for many is cheap, and yet nobody waits for ever for what is gone."""

from __future__ import annotations

import pytest

from producer.pending import THOROUGH_AFTER, Looks, no_result
from protocol.errors import RequestError, ResultTimeout
from protocol.transcript import Status


def is_thorough(looks: Looks, waiting: int = 1) -> bool:
    """Whether the next look asks for ids, too."""
    commands = looks.next([str(number) for number in range(waiting)]).commands
    return any("segue:id:0" in command for command in commands)


def test_every_second_there_is_a_thorough_look() -> None:
    """Cheap ones in between; the count starts anew with each."""
    looks = Looks()
    for _ in range(2):
        assert not is_thorough(looks)
        looks.pause(THOROUGH_AFTER)
        assert is_thorough(looks)


def test_the_more_are_awaited_the_rarer_it_is() -> None:
    """Ten thousand are looked at thoroughly every ten seconds."""
    looks = Looks()
    looks.pause(9.9)
    assert not is_thorough(looks, 10_000)
    looks.pause(0.2)
    assert is_thorough(looks, 10_000)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (Status.QUEUED, ResultTimeout, "RESULT_TIMEOUT"),
        (Status.RUNNING, ResultTimeout, "RESULT_TIMEOUT"),
        (Status.EXPIRED, RequestError, "RESULT_EXPIRED"),
        (Status.UNKNOWN, RequestError, "UNKNOWN_ID"),
    ],
)
def test_why_there_is_no_result(status: Status, kind: type[Exception], code: str) -> None:
    """What goes on, what is gone and what was never there are told apart."""
    error = no_result("call-7", status, 3.0)
    assert (type(error), error.code) == (kind, code)
    assert "call-7" in error.message
