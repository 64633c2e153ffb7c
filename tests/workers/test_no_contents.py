"""What is logged of a message that makes no sense is why, not what."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from celery.worker.consumer import consumer as celerys

from workers.no_contents import without_contents


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        (celerys.UNKNOWN_TASK_ERROR, "no task has the name 'no.such'"),
        (celerys.INVALID_TASK_ERROR, "'no.such'"),
        (celerys.MESSAGE_DECODE_ERROR, "'no.such'"),
        (celerys.UNKNOWN_FORMAT, "it is no task message"),
    ],
)
def test_why_a_message_makes_no_sense_is_shown_and_not_what_it_holds(template: str, shown: str) -> None:
    """Celery's own words quote it whole: headers, arguments, and what it was sent with."""
    arguments: tuple[Any, ...] = (
        KeyError("no.such"),
        *["SECRET"] * (template.replace("%%", "").count("%") - 1),
    )
    if template == celerys.UNKNOWN_FORMAT:
        arguments = ("SECRET",)
    record = logging.LogRecord("x", logging.ERROR, "x", 1, template, arguments, None)
    assert without_contents(record)
    assert record.getMessage() == f"a message was put on the dead list: {shown}"


def test_other_lines_are_left_as_they_are() -> None:
    """The filter above sits on a logger that says other things, too."""
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "lost %s", ("it",), None)
    assert without_contents(record)
    assert record.getMessage() == "lost it"
