"""One request as Celery's task message protocol 2, the way kombu's Redis transport writes it.

`app.send_task` writes the same (a contract test compares them field by field), but cannot put the
audio into the same transaction, and spends most of its time on what never changes from one request
to the next. https://docs.celeryq.dev/en/stable/internals/protocol.html
"""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime
from uuid import uuid4

from protocol.request import Request
from protocol.routing import PRIORITY_NUMBERS, QUEUE, TASK_NAME
from protocol.signing import Keys, sign
from protocol.wire import encode_request

#: What stands for the arguments wherever Celery shows them.
HIDDEN = "<hidden>"

_NO_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def task_message(request: Request, *, expires_at: float | None = None, keys: Keys | None = None) -> bytes:
    """What to push on the queue's list for `request`, signed if there are `keys`.

    `expires_at` is in seconds since the epoch; a worker that first sees the request later drops it.
    """
    arguments = encode_request(request)
    if keys is not None:
        arguments["signature"] = sign(keys, request.request_id, arguments)
    expires = datetime.fromtimestamp(expires_at, UTC).isoformat() if expires_at is not None else None
    return json.dumps(
        {
            "body": json.dumps([[], arguments, _NO_EMBED]),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": TASK_NAME,
                "id": request.request_id,
                "shadow": None,
                "eta": None,
                "expires": expires,
                "group": None,
                "group_index": None,
                "retries": 0,
                "timelimit": [None, None],
                "root_id": request.request_id,
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
                "correlation_id": request.request_id,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": QUEUE},
                "priority": PRIORITY_NUMBERS[request.priority],
                "body_encoding": "utf-8",
                "delivery_tag": str(uuid4()),
            },
        }
    ).encode()
