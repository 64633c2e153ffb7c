"""Messages that make no sense: whether a worker outlives thousands of them, and how soon it answers others.

Junk waits on the lane of normal requests. While it is cleared away, urgent requests come one by one; when it
is gone, a normal one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import redis

from bench.contestants import AUDIO, ours, running
from producer import Client
from protocol.request import Priority
from protocol.routing import QUEUE, queue_key

#: How long the worker may take to start and to answer, in seconds.
PATIENCE_SECONDS = 120.0

_LANE = queue_key(Priority.NORMAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Junk:
    """What came of it."""

    messages: int
    seconds: float
    """Until the last of them had left the queue."""
    exits: int
    """Of the worker: 0 or 1."""
    urgent_answers: int
    """To requests that came meanwhile."""
    slowest_urgent_milliseconds: float
    next_milliseconds: float
    """From the next good message after the junk to its result."""


def envelope(**changes: Any) -> dict[str, Any]:
    """A message as Celery writes it, with some parts replaced (None: left out)."""
    message: dict[str, Any] = {
        "body": "[[], {}, {}]",
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "workers.transcribe", "id": "junk", "retries": 0},
        "properties": {
            "correlation_id": "junk",
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "delivery_tag": "tag",
            "body_encoding": "utf-8",
            "priority": 5,
        },
    }
    return {name: value for name, value in {**message, **changes}.items() if value is not None}


def headers(**changes: Any) -> dict[str, Any]:
    """The headers of such a message, some of them replaced."""
    return {**envelope()["headers"], **changes}


def _properties(**changes: Any) -> dict[str, Any]:
    return {**envelope()["properties"], **changes}


KINDS: tuple[bytes, ...] = (
    b"garbage",
    b"",
    b"\xff\xfe\x00",
    b"[]",
    b"{}",
    b"null",
    b"7",
    b"[" * 20_000,
    *(
        json.dumps(message).encode()
        for message in (
            envelope(properties=None),
            envelope(properties=[]),
            envelope(headers=None),
            envelope(headers=[1]),
            envelope(headers=headers(task="no.such.task")),
            envelope(headers=headers(id=None)),
            envelope(headers=headers(id=["x"])),
            envelope(headers=headers(eta="tomorrow")),
            envelope(headers=headers(eta="0001-01-01T00:00:00+00:00")),
            envelope(headers=headers(expires={"a": 1})),
            envelope(headers=headers(timelimit="soon")),
            envelope(headers=headers(retries="many")),
            envelope(headers={"id": "junk"}),
            envelope(body=None),
            envelope(body="not json"),
            envelope(body="[1]"),
            envelope(body='["x", "y", "z"]'),
            envelope(body="[[], [], {}]"),
            envelope(body="{}"),
            envelope(body="[[], {}, null]"),
            envelope(**{"content-type": "application/x-python-serialize", "body": "cos\nsystem\n."}),
            envelope(**{"content-type": "application/x-yaml", "body": "!!python/object/apply:os.system []"}),
            envelope(**{"content-encoding": "klingon"}),
            envelope(properties=_properties(body_encoding="base64"), body="%%%"),
            envelope(properties=_properties(delivery_info=None)),
            envelope(properties=_properties(priority="high")),
        )
    ),
)
"""All that is wrong with them, as far as we know: one of each kind."""


def measure(redis_url: str, folder: Path, *, messages: int = 10_000) -> Junk:
    """Push `messages` on an empty Redis, each kind in turn, and ask one worker for other things.

    Raises:
        ResultTimeout: the worker does not answer.
    """
    with (
        redis.Redis.from_url(redis_url) as connection,
        Client(redis_url) as client,
        running(ours(MIN_BATCH_SIZE=1, MAX_BATCH_WAIT_MS=0), redis_url, folder / "ours.log") as worker,
    ):
        _answer(client, "normal")
        started_at = time.monotonic()
        _push(connection, list(islice(cycle(KINDS), messages)))
        urgent = []
        while connection.llen(_LANE):
            urgent.append(_answer(client, "urgent"))
        seconds = time.monotonic() - started_at
        after = _answer(client, "normal")
        exits = int(worker.poll() is not None)
    return Junk(
        messages=messages,
        seconds=seconds,
        exits=exits,
        urgent_answers=len(urgent),
        slowest_urgent_milliseconds=1_000 * max(urgent, default=0.0),
        next_milliseconds=1_000 * after,
    )


def _push(connection: redis.Redis, junk: Sequence[bytes]) -> None:
    """All at once, so that none is looked at before the last is there."""
    with connection.pipeline(transaction=True) as pipe:
        for message in junk:
            pipe.lpush(_LANE, message)
        pipe.execute()


def _answer(client: Client, priority: str) -> float:
    """Seconds from a good request to its result."""
    started_at = time.monotonic()
    client.submit(AUDIO, priority=priority, language="en").result(PATIENCE_SECONDS)
    return time.monotonic() - started_at
