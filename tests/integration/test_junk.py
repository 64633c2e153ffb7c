"""Promise: nothing that anybody pushes on the queue stops a worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from producer import Client
from protocol.routing import QUEUE
from tests.integration.conftest import StartWorker
from workers.transport.claims import DEAD_MESSAGES_KEPT
from workers.transport.dead import DEAD_MESSAGES

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0


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
    return {**envelope()["headers"], **changes}


JUNK: list[bytes] = [
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
            envelope(properties={**envelope()["properties"], "body_encoding": "base64"}, body="%%%"),
            envelope(properties={**envelope()["properties"], "delivery_info": None}),
            envelope(properties={**envelope()["properties"], "priority": "high"}),
        )
    ),
]


def test_no_junk_ends_a_worker(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """Every kind of malformed message is dropped or fails alone; good requests before and after succeed."""
    worker = start_worker()
    for number, junk in enumerate(JUNK):
        before = client.submit(noise(number))
        redis_client.lpush(QUEUE, junk)
        after = client.submit(noise(number + 100), priority="urgent")
        assert before.result(WAIT).text
        assert after.result(WAIT).text
        assert worker.poll() is None, junk
    worker.stop()
    assert not list(redis_client.scan_iter("segue:inflight:*"))
    assert client.queue_depth() == {"urgent": 0, "normal": 0, "bulk": 0}
    assert 0 < redis_client.llen(DEAD_MESSAGES) <= DEAD_MESSAGES_KEPT


def test_junk_under_a_result_key_ends_no_worker(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """What somebody else wrote under a result key is no result: it gives way to one."""
    for number, junk in enumerate((b"junk", b"[]", b"{}", b'{"status": 7}')):
        client.submit(noise(number), request_id=f"r-{number}", priority="urgent")
        redis_client.set(f"celery-task-meta-r-{number}", junk)
    worker = start_worker()
    while sum(client.queue_depth().values()) or list(redis_client.scan_iter("segue:audio:*")):
        pass
    assert [client.result(f"r-{number}", timeout=WAIT).text != "" for number in range(4)] == [True] * 4
    assert worker.poll() is None


def test_full_redis_ends_no_worker(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """At `maxmemory` an idle worker stays, what waits is still run, and new work comes when there is room."""
    worker = start_worker()
    redis_client.config_set("maxmemory", "1mb")
    try:
        worker.wait_for_line("Redis does not let us wait", WAIT)
    finally:
        redis_client.config_set("maxmemory", "0")
    assert client.submit(noise(1), priority="urgent").result(WAIT).text
    assert worker.poll() is None
