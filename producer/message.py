"""Requests as Celery's task messages, protocol 2, the way kombu's Redis transport writes them.

`app.send_task` writes the same (a contract test compares them field by field), but cannot put the
audio into the same transaction, and spends most of its time on what never changes from one request
to the next: here that is written once, as a form with blanks.
https://docs.celeryq.dev/en/stable/internals/protocol.html
"""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from producer.fresh_id import fresh_id
from protocol.request import Request
from protocol.routing import PRIORITY_NUMBERS, QUEUE, TASK_NAME, payload_key
from protocol.signing import Keys, digest_of, sign
from protocol.wire import encode_request, length_name

#: What stands for the arguments wherever Celery shows them.
HIDDEN = "<hidden>"

_NO_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}

#: What stands in a form for that which differs from message to message: of each process its own, so that no
#: prompt and no name can hold one.
_ID, _LENGTH, _SUBMITTED_AT, _DIGEST, _SIGNATURE, _TAG = _BLANKS = [token_hex(16) for _ in range(6)]


class Form:
    """The messages of requests that differ in their ids, their audio and when they were submitted only."""

    def __init__(
        self, example: Request, *, expires_at: float | None = None, keys: Keys | None = None
    ) -> None:
        """Write what they all have in common with `example`.

        `expires_at` is in seconds since the epoch; a worker that first sees one later drops it. With `keys`
        each message is signed.
        """
        self._common = encode_request(example)
        self._length_name = length_name(example.payload.encoding)
        self._keys = keys
        arguments = self._arguments(_ID, _LENGTH, _SUBMITTED_AT, None if keys is None else _DIGEST)
        if keys is not None:
            arguments["signature"] = _SIGNATURE
        self._text = _with_blanks(
            _task_message(_ID, arguments, PRIORITY_NUMBERS[example.priority], expires_at)
        )

    def fill(self, request_id: str, *, length: int, submitted_at: float, payload: bytes) -> bytes:
        """What to push on the queue's list for a request whose `payload`, so long, lies under its key.

        `submitted_at` is in seconds on Redis's clock.
        """
        values = {_ID: request_id, _LENGTH: length, _SUBMITTED_AT: submitted_at, _TAG: fresh_id()}
        if self._keys is not None:
            digest = values[_DIGEST] = digest_of(payload)
            arguments = self._arguments(request_id, length, submitted_at, digest)
            values[_SIGNATURE] = sign(self._keys, request_id, arguments)
        return (self._text % values).encode()

    def _arguments(
        self, request_id: str, length: Any, submitted_at: Any, digest: str | None
    ) -> dict[str, Any]:
        audio = {**self._common["audio"], self._length_name: length, "key": payload_key(request_id)}
        if digest is not None:
            audio["digest"] = digest
        return {**self._common, "audio": audio, "submitted_at": submitted_at}


def _with_blanks(message: str) -> str:
    """`message` as a text to be filled in with ``%``. A blank for a number stands where its quotes stood."""
    text = message.replace("%", "%%")
    for blank in (_LENGTH, _SUBMITTED_AT):
        text = text.replace(rf"\"{blank}\"", blank)
    for blank in _BLANKS:
        text = text.replace(blank, f"%({blank})s")
    return text


def _task_message(
    request_id: str, arguments: dict[str, Any], priority_number: int, expires_at: float | None
) -> str:
    expires = datetime.fromtimestamp(expires_at, UTC).isoformat() if expires_at is not None else None
    return json.dumps(
        {
            "body": json.dumps([[], arguments, _NO_EMBED]),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": TASK_NAME,
                "id": request_id,
                "shadow": None,
                "eta": None,
                "expires": expires,
                "group": None,
                "group_index": None,
                "retries": 0,
                "timelimit": [None, None],
                "root_id": request_id,
                "parent_id": None,
                "argsrepr": HIDDEN,
                "kwargsrepr": HIDDEN,
                "origin": f"{os.getpid()}@{socket.gethostname()}",
                "ignore_result": None,
                "replaced_task_nesting": 0,
                "stamped_headers": None,
                "stamps": {},
            },
            "properties": {
                "correlation_id": request_id,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": QUEUE},
                "priority": priority_number,
                "body_encoding": "utf-8",
                "delivery_tag": _TAG,
            },
        }
    )
