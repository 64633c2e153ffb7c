"""The history of requests and the rules it is judged by: what is right passes, what is wrong is seen."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.checker import Bounds, stories, violations
from bench.history import Event, History, Phase, What, final_event
from bench.witness import commands

#: What a request goes through from which nobody keeps it.
GOOD = (
    Event(what=What.SUBMIT, request_id="a", phase=Phase.INVOKE, value="SUCCESS:x"),
    Event(what=What.ACCEPTED, request_id="a"),
    Event(what=What.SUBMIT, request_id="a", phase=Phase.OK, value="SUCCESS:x"),
    Event(what=What.RUN, request_id="a"),
    Event(what=What.STORED, request_id="a", value="SUCCESS:x", by="w/1"),
    Event(what=What.TOLD, request_id="a", value="SUCCESS:x", by="w/1"),
    Event(what=What.READ, request_id="a", value="SUCCESS:x", by="w/1"),
)
SUBMIT, ACCEPTED, OK, RUN, STORED, TOLD, READ = GOOD

OVER = {"batch": 8, "interruptions": 0}


def ended(value: str, seconds: float | None = None) -> Event:
    return Event(what=What.STORED, request_id="a", value=value, seconds=seconds)


def submit(phase: Phase, value: str = "SUCCESS:x", expires: float | None = None) -> Event:
    return Event(what=What.SUBMIT, request_id="a", phase=phase, value=value, seconds=expires)


def cancel(phase: Phase) -> Event:
    return Event(what=What.CANCEL, request_id="a", phase=phase)


CANCELLED = (cancel(Phase.INVOKE), cancel(Phase.OK))
TOO_LATE = (cancel(Phase.INVOKE), cancel(Phase.FAIL))
LASTING = (submit(Phase.INVOKE, expires=1.0), ACCEPTED, submit(Phase.OK))
UNKNOWN = (SUBMIT, submit(Phase.UNKNOWN))
REFUSED = (SUBMIT, submit(Phase.FAIL))
RETURNED = Event(what=What.RETURNED, request_id="a")
DIED = Event(what=What.DIED, request_id="a")

#: Histories of one request in which every promise is kept.
RIGHT: dict[str, Sequence[Event]] = {
    "nothing happens": (),
    "it is transcribed": GOOD,
    "nobody hears whether it was accepted, and it was not": UNKNOWN,
    "nobody hears whether it was accepted, and it was": (*UNKNOWN, ACCEPTED, RUN, STORED, READ),
    "it is refused": REFUSED,
    "it is submitted twice": (*GOOD, SUBMIT, OK),
    "its message is copied": (*GOOD, ACCEPTED, RUN),
    "other audio under its id is refused": (
        *GOOD,
        submit(Phase.INVOKE, "SUCCESS:y"),
        submit(Phase.FAIL, "SUCCESS:y"),
    ),
    "it fails as it should": (
        submit(Phase.INVOKE, "BAD_REQUEST"),
        ACCEPTED,
        submit(Phase.OK, "BAD_REQUEST"),
        RUN,
        ended("BAD_REQUEST"),
    ),
    "it is cancelled": (SUBMIT, ACCEPTED, OK, *CANCELLED, ended("CANCELLED")),
    "it is cancelled too late": (*GOOD, *TOO_LATE),
    "it expires": (*LASTING, ended("EXPIRED")),
    "it expires after a worker died of it": (*LASTING, RUN, RETURNED, ended("EXPIRED")),
    "it expires after its engine died of it": (*LASTING, RUN, DIED, ended("EXPIRED")),
    "it is in time": (*LASTING, RUN, ended("SUCCESS:x", 1.05)),
}

#: Histories of one request in which a rule is broken, and which.
WRONG: dict[str, tuple[str, Sequence[Event]]] = {
    "it has no outcome": ("conservation", (SUBMIT, ACCEPTED, OK, RUN)),
    "it has one out of nothing": ("conservation", (*UNKNOWN, RUN, STORED)),
    "it runs out of nothing": ("conservation", (*UNKNOWN, RUN)),
    "another batch's result takes the place of its own": (
        "single truth",
        (*GOOD, Event(what=What.STORED, request_id="a", value="SUCCESS:x", by="w/2")),
    ),
    "its result changes": ("single truth", (*GOOD, ended("ENGINE_ERROR"))),
    "somebody is told another batch's": (
        "single truth",
        (*GOOD, Event(what=What.TOLD, request_id="a", value="SUCCESS:x", by="w/2")),
    ),
    "somebody reads another": (
        "single truth",
        (*GOOD, Event(what=What.READ, request_id="a", value="EXPIRED")),
    ),
    "two contents are accepted": ("single truth", (*GOOD, submit(Phase.OK, "SUCCESS:y"))),
    "it gets another's transcript": ("no cross-talk", (SUBMIT, ACCEPTED, OK, RUN, ended("SUCCESS:y"))),
    "it gets that of the audio that was refused": (
        "no cross-talk",
        (
            SUBMIT,
            ACCEPTED,
            OK,
            submit(Phase.INVOKE, "SUCCESS:y"),
            submit(Phase.FAIL, "SUCCESS:y"),
            ended("SUCCESS:y"),
        ),
    ),
    "it fails for another's sake": ("innocents", (SUBMIT, ACCEPTED, OK, RUN, ended("GAVE_UP"))),
    "it is cancelled by nobody": ("innocents", (SUBMIT, ACCEPTED, OK, ended("CANCELLED"))),
    "it expires and never would": ("innocents", (SUBMIT, ACCEPTED, OK, ended("EXPIRED"))),
    "it is not there, says submit to the contrary": ("honest producer", (SUBMIT, OK)),
    "it is there, says submit to the contrary": ("honest producer", (*REFUSED, ACCEPTED, RUN, STORED)),
    "it is cancelled and runs": ("cancelled", (SUBMIT, ACCEPTED, OK, *CANCELLED, RUN, ended("CANCELLED"))),
    "it is cancelled and transcribed": ("cancelled", (SUBMIT, ACCEPTED, OK, *CANCELLED, STORED)),
    "it is cancelled though that was too late": (
        "cancelled",
        (SUBMIT, ACCEPTED, OK, *TOO_LATE, ended("CANCELLED")),
    ),
    "it expires and has run": ("expired", (*LASTING, RUN, ended("EXPIRED"))),
    "it runs too late": ("expired", (*LASTING, RUN, ended("SUCCESS:x", 1.2))),
}


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right_passes(case: str) -> None:
    """A history in which every promise is kept breaks no rule."""
    assert violations(stories(RIGHT[case]), Bounds(**OVER)) == []


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_seen(case: str) -> None:
    """A history in which one is broken breaks its rule, and says for which request."""
    rule, events = WRONG[case]
    found = violations(stories(events), Bounds(**OVER))
    assert (rule, "a") in {(one.rule, one.request_id) for one in found}


def test_work_is_bounded_by_what_was_interrupted() -> None:
    """A request may run again for each batch that was interrupted, and not once more."""
    ran = stories([*GOOD, *[RUN] * 8])
    assert violations(ran, Bounds(batch=8, interruptions=1)) == []
    (found,) = violations(ran, Bounds(batch=7, interruptions=1))
    assert (found.rule, found.how[:2]) == ("bounded work", "8 ")


def test_one_requests_spare_run_is_not_anothers() -> None:
    """A cancelled request that never ran does not excuse another that ran twice."""
    cancelled = [Event(what=What.ACCEPTED, request_id="b"), *CANCELLED]
    found = violations(stories([*GOOD, RUN, *cancelled]), Bounds(**OVER))
    assert "bounded work" in {one.rule for one in found}


def test_a_message_that_is_left_is_seen() -> None:
    """When all is over nothing waits any more, whatever the results say."""
    (found,) = violations(stories(GOOD), Bounds(**OVER, left=1))
    assert found.rule == "at rest"


def test_a_history_is_written_down_as_it_is_recorded(tmp_path: Path) -> None:
    """Each event is a line, with its time and without what it does not say."""
    path = tmp_path / "history.jsonl"
    with History(path, clock=lambda: 7.0) as history:
        history.record(What.CANCEL, "a", Phase.UNKNOWN)
        history.add([RUN])
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first == {"what": "cancel", "request_id": "a", "phase": "unknown", "at": 7.0}
    assert second == {"what": "run", "request_id": "a", "phase": "ok"}


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ({"status": "FAILURE", "result": {"exc_type": "GaveUp", "exc_message": ["x", "GAVE_UP"]}}, "GAVE_UP"),
        (
            {"status": "REVOKED", "result": {"exc_type": "TaskRevokedError", "exc_message": ["expired"]}},
            "EXPIRED",
        ),
        (
            {"status": "REVOKED", "result": {"exc_type": "TaskRevokedError", "exc_message": ["x"]}},
            "CANCELLED",
        ),
        ({"status": "STARTED", "result": {"hostname": "w"}}, None),
        ({"status": "RETRY", "result": None}, None),
    ],
)
def test_only_final_states_are_outcomes(stored: dict[str, object], value: str | None) -> None:
    """An outcome is what will not change any more; it is named by its code."""
    event = final_event(What.STORED, "a", json.dumps(stored))
    assert (event.value if event else None) == value


def test_a_command_that_was_cut_off_is_left_out() -> None:
    """A server that is killed while it writes leaves half a command, which has not happened."""
    whole = b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n"
    assert list(commands(io.BytesIO(b"#TS:1\r\n" + whole))) == [[b"INCR", b"a"]]
    for size in range(1, len(whole)):
        assert list(commands(io.BytesIO(whole + whole[:size]))) == [[b"INCR", b"a"]], size
