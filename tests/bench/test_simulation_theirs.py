"""The peers' own code in virtual time: the clock, and the comparison. The peers themselves are not here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from bench.simulation.theirs.comparing import compared
from bench.simulation.theirs.virtual_time import Record, Told, VirtualTimeLoop, submit_all


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    one = VirtualTimeLoop()
    yield one
    one.close()


def test_waiting_takes_as_long_as_it_says(loop: VirtualTimeLoop) -> None:
    """An hour passes on the clock, whatever passes outside."""
    loop.run_until_complete(asyncio.sleep(3600.0))
    assert loop.time() == pytest.approx(3600.0)


def test_waiting_again_for_what_is_left_over_ends(loop: VirtualTimeLoop) -> None:
    """Code that waits until its own clock says that the time is over does not wait for ever."""

    async def most_rounds() -> int:
        return max([await until(loop.time() + 0.1) for _ in range(100)])

    async def until(end: float) -> int:
        rounds, began_at = 0, end - 0.1
        while loop.time() - began_at < 0.1 and rounds < 10:
            await asyncio.sleep(0.1 - (loop.time() - began_at))
            rounds += 1
        return rounds

    assert loop.run_until_complete(most_rounds()) <= 2


def test_nothing_to_wait_for_is_an_error(loop: VirtualTimeLoop) -> None:
    """In virtual time nobody else would ever wake it."""
    with pytest.raises(RuntimeError, match="nothing will ever happen"):
        loop.run_until_complete(loop.create_future())


def test_items_are_submitted_at_their_times(loop: VirtualTimeLoop) -> None:
    """One engine call each, from when it was submitted."""
    told = Told(enqueued_at=[0.5, 2.0], largest=4, window=0.0, base=1.0, each=0.25)
    record = Record(told)
    loop.run_until_complete(submit_all(told.enqueued_at, lambda number: record.engine([number])))
    assert record.ended_at == pytest.approx([1.75, 3.25])
    assert record.sizes == [1, 1]


def test_comparison_shows_the_furthest_request() -> None:
    """Means may agree where single requests do not."""
    found = compared("one", 0.5, np.array([1.0, 2.0]), np.array([2.0, 1.0]))
    assert found.their_mean == found.our_mean == 1.5
    assert found.furthest == 1.0
