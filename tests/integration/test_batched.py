"""Promise: a request that a worker has and has not started is `batched`, and nobody else ever is."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import redis
from celery import Celery
from typer.testing import CliRunner

from cli.main import app
from producer import Client
from producer.results import _alive
from protocol.routing import LEASES, result_key
from protocol.transcript import Status
from tests.redis_users import as_user
from workers.transport.claims import RECEIVED_SECONDS, Claims
from workers.transport.settlement import Result, Settlement
from workers.transport.starting import Starter

SILENCE = np.zeros(16_000, np.int16)

#: What a worker stores at the end.
DONE = json.dumps({"status": "SUCCESS", "result": None})


@pytest.fixture
def worker(redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Claims:
    """The claims of a worker that lives, as far as Redis knows, though nobody renews its lease."""
    monkeypatch.setattr("workers.transport.claims.LEASE_SECONDS", 3_600.0)
    claims = Claims(redis.Redis.from_url(as_user(redis_url, "worker")))
    claims.take_lease()
    return claims


def test_from_its_claim_until_its_start(
    client: Client, worker: Claims, celery_app: Celery, redis_client: redis.Redis
) -> None:
    """Queued, batched, running: to Celery, `RECEIVED` meanwhile. What is not claimed is not batched."""
    client.submit_many([SILENCE] * 2, request_ids=["a", "b"])
    (claimed,) = worker.claim(1)
    assert client.statuses(["a", "b"]) == [Status.BATCHED, Status.QUEUED]
    stock = celery_app.AsyncResult("a")
    assert (stock.state, stock.ready(), stock.result) == ("RECEIVED", False, None)
    assert not client.get("a").ready()
    assert 0 < redis_client.ttl(result_key("a")) <= RECEIVED_SECONDS
    worker.start([Starter(tag=claimed.tag, request_id="a", state='{"status": "STARTED"}')], 60)
    assert client.status("a") is Status.RUNNING


@pytest.mark.parametrize(
    "leave",
    [
        lambda worker, tag: worker.put_back(tag),
        lambda worker, tag: worker.demote(tag),
        lambda worker, _: worker.give_back(),
        lambda worker, _: worker._redis.zadd(LEASES, {worker.worker_id: 1}),
    ],
    ids=["put back", "demoted", "worker stops", "worker dies"],
)
def test_not_once_the_worker_has_it_no_more(
    client: Client, worker: Claims, leave: Callable[..., None]
) -> None:
    """Then it waits in the queue, even before anybody has found the dead worker."""
    client.submit(SILENCE, request_id="a")
    (claimed,) = worker.claim(1)
    assert client.status("a") is Status.BATCHED
    leave(worker, claimed.tag)
    assert client.status("a") is Status.QUEUED
    assert not client.get("a").ready()


def test_a_message_that_is_buried_leaves_no_trace(
    client: Client, worker: Claims, redis_client: redis.Redis
) -> None:
    """Nobody will run it, so nobody has it."""
    client.submit(SILENCE, request_id="a")
    (claimed,) = worker.claim(1)
    worker.bury(claimed)
    assert not redis_client.exists(result_key("a"))


def test_it_can_be_cancelled(client: Client, worker: Claims) -> None:
    """It has not started: the worker looks once more before it does."""
    client.submit(SILENCE, request_id="a")
    worker.claim(1)
    assert client.cancel("a")
    assert client.status("a") is Status.CANCELLED


def test_a_result_is_not_taken_back(client: Client, worker: Claims, redis_client: redis.Redis) -> None:
    """The second message of a request that has one changes nothing."""
    client.submit(SILENCE, request_id="a")
    (claimed,) = worker.claim(1)
    redis_client.lpush("segue", claimed.message)
    worker.settle(Settlement(results=[Result(key=result_key("a"), value=DONE, ttl=60)], tags=[claimed.tag]))
    worker.claim(1)
    assert client.status("a") is Status.COMPLETED


def test_only_the_message_itself_says_whose_it_is(
    client: Client, worker: Claims, redis_client: redis.Redis
) -> None:
    """Not what somebody writes into a prompt; and what kombu has not written says nothing."""
    client.submit(SILENCE, request_id="mine", initial_prompt='"correlation_id": "yours"')
    redis_client.lpush("segue", b"junk", b'"correlation_id": "../x"')
    assert len(worker.claim(3)) == 3
    assert client.statuses(["mine", "yours"]) == [Status.BATCHED, Status.UNKNOWN]
    assert redis_client.keys("celery-task-meta-*") == [result_key("mine").encode()]


def test_a_recording_is_batched_until_a_part_runs(client: Client, worker: Claims) -> None:
    """As a request would be."""
    noise = np.random.default_rng(1).integers(-8_000, 8_000, 64_000, dtype=np.int16)
    ticket = client.submit_recording(noise, split="fixed", max_segment_seconds=2.0)
    seen = [ticket.status]
    (claimed,) = worker.claim(1)
    seen.append(ticket.status)
    state = '{"status": "STARTED"}'
    worker.start([Starter(tag=claimed.tag, request_id=ticket.parts[0].request_id, state=state)], 60)
    assert [*seen, ticket.status] == [Status.QUEUED, Status.BATCHED, Status.RUNNING]


def test_the_command_line_says_so(client: Client, worker: Claims, redis_url: str) -> None:
    """And that is no failure."""
    client.submit(SILENCE, request_id="a")
    worker.claim(1)
    asked = CliRunner().invoke(app, ["status", "a", "--redis-url", redis_url])
    assert (asked.exit_code, asked.stdout) == (0, "a\tbatched\n")


@pytest.mark.parametrize("told", [[(b"a", 2_000.0), (b"b", 900.0)], [b"a", b"2000", b"b", b"900"]])
def test_leases_are_read_as_any_redis_py_tells_them(told: list[object]) -> None:
    """In pairs or flat; those that have run out are nobody's."""
    assert _alive(told, (1, 500_000)) == {"a"}
