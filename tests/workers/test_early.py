"""When a worker claims the next batch while one runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from workers.early import CLAIM_SECONDS, CLAIMABLE_SECONDS, Early


class Alarm:
    """What the event loop would call, and when; called by hand."""

    def __init__(self, delay: float, callback: Callable[..., None], *arguments: Any) -> None:
        self.delay = delay
        self.is_cancelled = False
        self._call = partial(callback, *arguments)

    def ring(self) -> None:
        self._call()

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """All alarms that were set."""

    def __init__(self) -> None:
        self.alarms: list[Alarm] = []

    def call_later(self, delay: float, callback: Callable[..., None], *arguments: Any) -> Alarm:
        self.alarms.append(Alarm(delay, callback, *arguments))
        return self.alarms[-1]


@pytest.mark.parametrize(
    ("seconds", "delay", "ahead"),
    [
        (1.0, 1.0 - CLAIM_SECONDS, CLAIM_SECONDS),
        (3 * CLAIM_SECONDS, 2 * CLAIM_SECONDS, CLAIM_SECONDS),
        (0.012, 0.006, 0.006),
    ],
)
def test_a_claim_comes_shortly_before_the_end(seconds: float, delay: float, ahead: float) -> None:
    """Or half way, of a batch that is shorter than twice that; it is told how long before the end it is."""
    loop, claims = Loop(), list[float]()
    early = Early(claims.append, loop.call_later)
    early.begin(seconds)
    [alarm] = loop.alarms
    assert alarm.delay == pytest.approx(delay)
    alarm.ring()
    assert claims == [pytest.approx(ahead)]


@pytest.mark.parametrize("seconds", [None, 0.0, CLAIMABLE_SECONDS])
def test_nothing_is_claimed_during_the_shortest_batches(seconds: float | None) -> None:
    """Nor during one of which nobody knows how long it takes."""
    loop = Loop()
    Early(lambda _: None, loop.call_later).begin(seconds)
    assert loop.alarms == []


def test_a_batch_that_ends_sooner_is_not_claimed_behind() -> None:
    """The engine is free, and asks by itself."""
    loop = Loop()
    early = Early(lambda _: None, loop.call_later)
    early.end()
    early.begin(1.0)
    early.end()
    assert loop.alarms[0].is_cancelled


def test_it_is_early_as_long_as_the_claim_takes() -> None:
    """Also of one that fails: else the worker would claim early for ever."""
    loop, seen = Loop(), list[bool]()

    def claim(_: float) -> None:
        seen.append(early.is_now)
        raise ConnectionError("scripted")

    early = Early(claim, loop.call_later)
    early.begin(1.0)
    with pytest.raises(ConnectionError):
        loop.alarms[0].ring()
    assert seen == [True]
    assert not early.is_now
