"""Promise: nothing that anybody pushes on the queue stops a worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from bench.junk import KINDS, measure
from producer import Client
from protocol.routing import QUEUE
from tests.integration.conftest import StartWorker
from workers.transport.claims import DEAD_MESSAGE_BYTES, DEAD_MESSAGES_KEPT
from workers.transport.dead import DEAD_MESSAGES

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0


def test_no_junk_ends_a_worker(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """Every kind of malformed message is kept, or fails alone; good requests before and after succeed."""
    worker = start_worker()
    for number, junk in enumerate(KINDS):
        before = client.submit(noise(number))
        redis_client.lpush(QUEUE, junk)
        after = client.submit(noise(number + 100), priority="urgent")
        assert before.result(WAIT).text
        assert after.result(WAIT).text
        assert worker.poll() is None, junk
    worker.stop()
    assert not list(redis_client.scan_iter("segue:inflight:*"))
    assert client.queue_depth() == {"urgent": 0, "normal": 0, "bulk": 0}
    kept: Any = redis_client.lrange(DEAD_MESSAGES, 0, -1)
    assert 0 < len(kept) <= DEAD_MESSAGES_KEPT
    dropped = [
        junk for junk in KINDS if junk[:DEAD_MESSAGE_BYTES] not in kept and b'"id": "junk"' not in junk
    ]
    assert dropped == []  # those with an id may have failed under it
    assert sum(junk in kept for junk in KINDS) >= len(KINDS) // 2


@pytest.mark.soak
def test_ten_thousand_end_no_worker(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> None:
    """Others are answered meanwhile and afterwards; of what was buried the newest are kept."""
    found = measure(redis_url, tmp_path, messages=10_000)
    assert found.exits == 0
    assert found.urgent_answers > 0
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
    """At `maxmemory` a worker may start, and connect anew: it runs what waits, which makes room; when it
    idles it stays, and new work comes when there is room."""
    tickets = [client.submit(noise(number)) for number in range(12)]
    redis_client.config_set("maxmemory", "1mb")
    try:
        worker = start_worker(fake_fixed_ms=300, max_batch_size=4)
        worker.wait_for_line("batch 1: ", WAIT)
        redis_client.client_kill_filter(_type="normal", skipme=True)
        assert [ticket.result(WAIT).text != "" for ticket in tickets] == [True] * 12
        worker.wait_for_line("Redis does not let us wait", WAIT)
    finally:
        redis_client.config_set("maxmemory", "0")
    assert client.submit(noise(1), priority="urgent").result(WAIT).text
    assert worker.poll() is None
