"""What is logged of a stranger's text stays in its line."""

from __future__ import annotations

import io
import logging

from hypothesis import given
from hypothesis import strategies as st

from workers.one_line import INDENT, one_line


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


def test_arguments_that_do_not_fit_are_no_error_of_whoever_logs() -> None:
    """A filter runs where somebody logs, and what it raises would be raised there."""
    assert logged("done", 5) == "at INFO done (with other arguments than it has places for)\n"
