"""The ledger of a storm: what became of the requests, counted from their history, and shown."""

from __future__ import annotations

import io

from rich.console import Console

from bench.aims import aims
from bench.checker import Bounds, stories
from bench.faults import Ledger, Recovery, Waits, account
from bench.faults_table import tables_of
from bench.history import Event, Phase, What
from bench.storm import Plan, Strike

BOUNDS = Bounds(batch=8, interruptions=1)


def story(request_id: str, expected: str, outcome: str, runs: int = 1) -> list[Event]:
    """A request that was accepted, ran so often, and ended so; not at all if `outcome` is empty."""
    events = [
        Event(what=What.SUBMIT, request_id=request_id, phase=phase, value=expected)
        for phase in (Phase.INVOKE, Phase.OK)
    ]
    events += [Event(what=What.ACCEPTED, request_id=request_id)]
    events += [Event(what=What.RUN, request_id=request_id)] * runs
    return events + [Event(what=What.STORED, request_id=request_id, value=outcome)] * bool(outcome)


def ledger(*of: list[Event]) -> Ledger:
    return account(stories(event for events in of for event in events), BOUNDS)


def test_every_outcome_has_its_place() -> None:
    """Transcripts, failures as intended and given-up requests are counted apart, executions by the way."""
    found = ledger(
        story("a", "SUCCESS:x", "SUCCESS:x", runs=2),
        story("b", "BAD_REQUEST", "BAD_REQUEST"),
        story("c", "GAVE_UP", "GAVE_UP", runs=3),
    )
    assert (found.submitted, found.accepted) == (3, 3)
    assert (found.succeeded, found.failed, found.gave_up) == (1, 1, 1)
    assert (found.executions, found.recomputed) == (6, 3)
    assert found.is_clean


def test_what_is_amiss_is_counted() -> None:
    """A lost, a doubled and a wrong request are each counted once, and the ledger is not clean."""
    twice = [*story("b", "SUCCESS:x", "SUCCESS:x"), *story("b", "SUCCESS:x", "ENGINE_ERROR", runs=0)[3:]]
    found = ledger(story("a", "SUCCESS:x", ""), twice, story("c", "SUCCESS:x", "SUCCESS:y"))
    assert (found.lost, found.doubled, found.wrong) == (1, 1, 1)
    assert not found.is_clean


def test_a_worker_that_ends_by_itself_is_amiss() -> None:
    """Even if every request has its result."""
    found = ledger(story("a", "SUCCESS:x", "SUCCESS:x"))
    found.worker_exits = 1
    assert not found.is_clean


def test_waits_are_those_of_who_was_served() -> None:
    """From the first submit until the transcript was told, also if it ran again; errors say nothing."""

    def waited(request_id: str, seconds: float, outcome: str = "SUCCESS:x", runs: int = 1) -> list[Event]:
        submit = Event(what=What.SUBMIT, request_id=request_id, value="SUCCESS:x", at=100.0)
        told = Event(what=What.TOLD, request_id=request_id, value=outcome, at=100.0 + seconds)
        return [*story(request_id, "SUCCESS:x", outcome, runs), submit, told]

    found = ledger(waited("a", 1), waited("b", 2, runs=2), waited("c", 9), waited("d", 50, "GAVE_UP"))
    assert found.waits == Waits(p50=2, p99=9, p100=9)
    assert found.waits_again == Waits(p50=2, p99=2, p100=2)
    assert ledger(story("a", "SUCCESS:x", "SUCCESS:x")).waits is None


def test_the_table_names_whom_a_broken_promise_befell() -> None:
    """A reader sees what became of all, how soon, and who was lost."""
    found = ledger(story("a-17", "SUCCESS:x", ""))
    found.strikes = {"worker killed": 4}
    found.waits = Waits(p50=0.1, p99=0.5, p100=7.25)
    found.recovery = {"worker killed": Recovery(hits=3, p50=4.1, p100=14.5, p100_once=4.75)}
    console = Console(file=io.StringIO(), width=100)
    for part in tables_of(Plan(), found):
        console.print(part)
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    for expected in (
        "a-17",
        "conservation",
        "worker killed",
        "4.75",
        "14.50",
        "7.25",
        "requests lost",
        "missed",
    ):
        assert expected in shown
    assert "Promises were broken." in shown


def test_aims_are_of_what_the_storm_could_show() -> None:
    """A row for each fault that struck once, reached up to its limit; what never happened says nothing."""
    found = ledger(story("a", "SUCCESS:x", "SUCCESS:x"), story("b", "GAVE_UP", "GAVE_UP", runs=3))
    found.recovery = {
        str(Strike.KILL): Recovery(hits=2, p50=4, p100=9, p100_once=6, again_p100_once=5.1),
        str(Strike.ENGINE_KILL): Recovery(hits=2, p50=4, p100=9, p100_once=6, released_p100_once=0.5),
        str(Strike.FREEZE): Recovery(hits=1, p50=4, p100=9, p100_once=None),
    }
    found.resumed = {str(Strike.FILL): 0.51, str(Strike.NO_DISK): 2.0}
    rows = {row.what.partition(":")[0]: row.is_reached for row in aims(Plan(kills=2, crashes=1), found)}
    assert rows == {
        "requests lost, doubled or wrong": True,
        "innocents failed": True,
        "workers that ended by themselves": True,
        "executions beyond the first": True,
        "worker killed": False,
        "engine killed": True,
        "Redis full": False,
        "disk full": True,
        "deaths of one poison": True,
    }


def test_poison_by_itself_shows_how_long_innocents_wait() -> None:
    """Where workers are struck as well, their wait says nothing about the poison."""
    found = ledger(story("b", "GAVE_UP", "GAVE_UP", runs=3))
    found.waits_again = Waits(p50=1, p99=2, p100=11)
    alone = aims(Plan(kills=0, crashes=1, junk=5), found)
    assert [row.is_reached for row in alone if row.what.startswith("innocents that ran")] == [False]
    assert not [
        row for row in aims(Plan(kills=1, crashes=1), found) if row.what.startswith("innocents that ran")
    ]
