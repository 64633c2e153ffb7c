"""One event, one line: what strangers put into a message forges no line of our log, nor is it shown there."""

from __future__ import annotations

import logging
import re
import textwrap

from celery.worker.consumer import consumer as celerys

#: Control characters of ASCII and C1, and Unicode's own ends of lines: whatever a terminal or a reader of a
#: log may take for more than text. The tabulator is harmless.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")

#: Before each line of a traceback, so that none of them can look like an event.
INDENT = "    "

#: What Celery says of a message that makes no sense, each with the contents: maybe audio and prompts.
_WITH_CONTENTS = {
    celerys.UNKNOWN_FORMAT: "it is no task message",
    celerys.UNKNOWN_TASK_ERROR: "no task has the name {}",
    celerys.INVALID_TASK_ERROR: "{}",
    celerys.MESSAGE_DECODE_ERROR: "{}",
}

#: How much is shown of why it makes no sense, in characters.
_SHOWN = 200

_plain = logging.Formatter()


def escaped(text: str) -> str:
    """`text` in one line, with control characters as Python writes them."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def without_contents(record: logging.LogRecord) -> bool:
    """A filter for Celery's own logger: says why a message makes no sense, and not what it holds."""
    if why := _WITH_CONTENTS.get(record.msg):
        reason = record.args[0] if isinstance(record.args, tuple) and record.args else ""
        record.msg = "a message was put on the dead list: %s"
        record.args = (why.format(str(reason)[:_SHOWN]),)
        record.exc_info = None
    return True


def one_line(record: logging.LogRecord) -> bool:
    """A filter for handlers, which lets everything through and makes one line of it; a traceback follows."""
    record.msg, record.args = escaped(record.getMessage()), ()
    if record.exc_info:
        lines = _plain.formatException(record.exc_info).splitlines()
        record.exc_text = textwrap.indent("\n".join(map(escaped, lines)), INDENT)
    return True
