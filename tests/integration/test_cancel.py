"""Promise: a request that is cancelled while it waits never runs, and nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
import redis
from celery import Celery
from celery.exceptions import TaskRevokedError
from numpy.typing import NDArray

from producer import AsyncClient, Client
from protocol.errors import Cancelled
from protocol.routing import CANCEL_KEY_PREFIX, cancel_key, payload_key
from protocol.transcript import Status
from tests.integration.conftest import StartWorker
from workers.engine.fake import fingerprint

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0


def text_of(audio: NDArray[np.int16]) -> str:
    return fingerprint(audio.astype(np.float32) / np.float32(32_768))


def test_a_cancelled_request_never_runs(
    start_worker: StartWorker,
    client: Client,
    celery_app: Celery,
    redis_client: redis.Redis,
    noise: Noise,
) -> None:
    """Its neighbours have their texts, its audio is gone, and Celery says that it was revoked."""
    tickets = client.submit_many([noise(number) for number in range(8)]).tickets
    assert tickets[3].cancel()
    assert tickets[3].status is Status.CANCELLED
    worker = start_worker()
    for number, ticket in enumerate(tickets):
        if number != 3:
            assert ticket.result(WAIT).text == text_of(noise(number))
    with pytest.raises(TaskRevokedError):
        celery_app.AsyncResult(tickets[3].request_id).get(timeout=WAIT)
    with pytest.raises(Cancelled):
        tickets[3].result(0)
    worker.stop()  # so that all that it does to a revoked request is done
    assert tickets[3].status is Status.CANCELLED
    assert not redis_client.exists(payload_key(tickets[3].request_id))
    assert not sum(client.queue_depth().values())


def test_a_running_request_runs_to_its_end(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """Its batch is others' too: it is too late, said as such, and the transcript comes."""
    start_worker(fake_fixed_ms=6_000)
    ticket = client.submit(noise(1), priority="urgent")
    while ticket.status is not Status.RUNNING:
        pass
    assert not ticket.cancel()
    assert ticket.status is Status.RUNNING
    assert ticket.result(WAIT).text == text_of(noise(1))
    assert not ticket.cancel()
    assert client.statuses([ticket.request_id]) == [Status.COMPLETED]


def test_a_waiter_is_told_though_no_worker_is_there(
    client: Client, redis_url: str, redis_client: redis.Redis, noise: Noise
) -> None:
    """From here on it is cancelled, for all who ask; to cancel again is to find it so."""
    group = client.submit_many([noise(1), noise(2)], request_ids=["a", "b"])

    async def main() -> bool:
        async with AsyncClient(redis_url) as other:
            waiting = asyncio.ensure_future(other.get("a").result(WAIT))
            cancelled = await other.cancel("a")
            with pytest.raises(Cancelled):
                await waiting
            return cancelled

    assert asyncio.run(main())
    assert client.cancel("a")
    assert client.statuses(["a", "b"]) == [Status.CANCELLED, Status.QUEUED]
    assert isinstance(next(group.as_completed())[1], Cancelled)
    assert 0 < redis_client.ttl(cancel_key("a")) <= redis_client.ttl(payload_key("a")) + 60


def test_what_does_not_wait_cannot_be_cancelled(client: Client, redis_client: redis.Redis) -> None:
    """Nobody knows the id: nothing is cancelled, and no mark stays for a request that may come."""
    assert not client.cancel("never-heard-of")
    assert client.status("never-heard-of") is Status.UNKNOWN
    assert not list(redis_client.scan_iter(f"{CANCEL_KEY_PREFIX}*"))
