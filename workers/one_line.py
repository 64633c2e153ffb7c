"""One event, one line: what strangers put into a message forges no line of our log."""

from __future__ import annotations

import logging
import re
import textwrap

#: Control characters of ASCII and C1, and Unicode's own ends of lines: whatever a terminal or a reader of a
#: log may take for more than text. The tabulator is harmless.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")

#: Before each line of a traceback, so that none of them can look like an event.
INDENT = "    "

_plain = logging.Formatter()


def escaped(text: str) -> str:
    """`text` in one line, with control characters as Python writes them."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def _message(record: logging.LogRecord) -> str:
    """What was logged, also if the arguments do not fit: a filter that raises would raise where it was."""
    try:
        return record.getMessage()
    except Exception:
        return f"{record.msg} (with other arguments than it has places for)"


def one_line(record: logging.LogRecord) -> bool:
    """A filter for handlers, which lets everything through and makes one line of it; a traceback follows."""
    record.msg, record.args = escaped(_message(record)), ()
    if record.exc_info:
        lines = _plain.formatException(record.exc_info).splitlines()
        record.exc_text = textwrap.indent("\n".join(map(escaped, lines)), INDENT)
    return True
