"""An engine is idle with work only while something waits that nobody wants to wait."""

from __future__ import annotations

import pytest

from workers.idleness import Gap, Idleness


def gap(*, free_at: float, oldest_at: float, began_at: float, held_until: float | None = None) -> Gap:
    idleness = Idleness()
    idleness.free(free_at)
    found = idleness.busy(began_at, oldest_at=oldest_at, held_until=held_until)
    return Gap(idle=round(found.idle, 6), hold=round(found.hold, 6))


def test_what_waited_all_the_while_makes_the_whole_gap_idle() -> None:
    """Fetching and preparing a batch that was there when the last one ended is the engine's loss."""
    assert gap(free_at=10.0, oldest_at=3.0, began_at=10.4) == Gap(idle=0.4)


def test_without_work_nothing_is_idle() -> None:
    """Time counts from when the oldest member was enqueued."""
    assert gap(free_at=10.0, oldest_at=12.0, began_at=12.1) == Gap(idle=0.1)


def test_what_is_held_on_purpose_is_not_idle() -> None:
    """A window is asked for; only what comes after it is lost."""
    assert gap(free_at=10.0, oldest_at=12.0, began_at=12.13, held_until=12.1) == Gap(idle=0.03, hold=0.1)


@pytest.mark.parametrize("free_at", [float("inf"), 13.0])
def test_the_first_call_of_an_engine_has_no_gap(free_at: float) -> None:
    """Nothing is known of the time before; clocks that disagree by a little make no negative time."""
    assert gap(free_at=free_at, oldest_at=1.0, began_at=12.0) == Gap()
