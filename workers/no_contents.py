"""What Celery logs of a message that makes no sense, without what it holds."""

from __future__ import annotations

import logging

from celery.worker.consumer import consumer as celerys

#: What Celery says of a message that makes no sense, each with the contents: maybe audio and prompts.
_WITH_CONTENTS = {
    celerys.UNKNOWN_FORMAT: "it is no task message",
    celerys.UNKNOWN_TASK_ERROR: "no task has the name {}",
    celerys.INVALID_TASK_ERROR: "{}",
    celerys.MESSAGE_DECODE_ERROR: "{}",
}

#: How much is shown of why it makes no sense, in characters.
_SHOWN = 200


def without_contents(record: logging.LogRecord) -> bool:
    """A filter for Celery's own logger: says why a message makes no sense, and not what it holds."""
    if why := _WITH_CONTENTS.get(record.msg):
        reason = record.args[0] if isinstance(record.args, tuple) and record.args else ""
        record.msg = "a message was put on the dead list: %s"
        record.args = (why.format(str(reason)[:_SHOWN]),)
        record.exc_info = None
    return True
