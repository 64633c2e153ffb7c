"""What is logged of a stranger's text stays in its line."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from celery.worker.consumer import consumer as celerys
from hypothesis import given
from hypothesis import strategies as st

from workers.log_lines import INDENT, one_line, without_contents


def logged(message: str, *args: object, error: BaseException | None = None) -> str:
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(logging.Formatter("at %(levelname)s %(message)s"))
    handler.addFilter(one_line)
    found = (type(error), error, None) if error else None
    handler.handle(logging.LogRecord("x", logging.INFO, "x", 1, message, args, found))
    return output.getvalue()


@given(text=st.text())
def test_an_event_is_a_line(text: str) -> None:
    """Whatever the text is, there is one line, and nothing in it moves a terminal's cursor."""
    line = logged("request %s failed", text)
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


def test_text_stays_readable() -> None:
    """Letters of any script stay; what is escaped can be told."""
    assert logged("grüße, %s", "日本\n\x1b[31m") == "at INFO grüße, 日本\\n\\x1b[31m\n"


@given(text=st.text())
def test_a_traceback_cannot_look_like_an_event(text: str) -> None:
    """Lines of a traceback are indented, also those that an error's own text begins."""
    first, *more = logged("failed", error=ValueError(text)).splitlines()
    assert first == "at INFO failed"
    assert all(line.startswith(INDENT) for line in more if line)


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
