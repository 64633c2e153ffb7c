"""Promise: a request is a plain Celery task, with all that Celery promises of one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import redis
from celery import Celery, chain, chord, group
from celery.exceptions import TaskRevokedError
from numpy.typing import NDArray

from producer import Client
from protocol.errors import Cancelled, DeadlineExceeded, EngineError, GaveUp
from protocol.routing import QUEUE, payload_key
from protocol.transcript import Status
from tests.integration.conftest import StartWorker, wait_until_it_listens
from workers.engine.fake import fingerprint

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0


@pytest.fixture
def signature(celery_app: Celery, redis_client: redis.Redis, noise: Noise) -> Callable[..., Any]:
    """A stock signature of the task for the audio segment of a number, its audio stored beside it."""

    def make(number: int, **options: Any) -> Any:
        audio = noise(number)
        redis_client.set(payload_key(f"s-{number}"), audio.tobytes(), ex=600)
        reference = {"key": payload_key(f"s-{number}"), "encoding": "pcm_s16le", "samples": len(audio)}
        return celery_app.signature(
            "workers.transcribe", kwargs={"audio": reference, "options": options}, immutable=True
        )

    return make


def text_of(audio: NDArray[np.int16]) -> str:
    return fingerprint(audio.astype(np.float32) / np.float32(32_768))


def test_group_gathers_every_result(
    start_worker: StartWorker, signature: Callable[..., Any], noise: Noise
) -> None:
    """A Celery group of requests gives their transcripts in order."""
    start_worker()
    results = group(signature(number) for number in range(12)).apply_async().get(timeout=WAIT)
    assert [one["text"] for one in results] == [text_of(noise(number)) for number in range(12)]


def test_chain_runs_one_after_the_other(
    start_worker: StartWorker, signature: Callable[..., Any], noise: Noise
) -> None:
    """The second link of a chain is sent when the first has its transcript."""
    start_worker()
    result = chain(signature(1), signature(2)).apply_async()
    assert result.get(timeout=WAIT)["text"] == text_of(noise(2))
    assert result.parent.get(timeout=WAIT)["text"] == text_of(noise(1))


def test_chord_calls_its_body_once_all_are_done(
    start_worker: StartWorker, signature: Callable[..., Any], noise: Noise
) -> None:
    """A chord's body runs after its header; header and body are requests here."""
    start_worker()
    result = chord([signature(1), signature(2), signature(3)])(signature(4))
    assert result.get(timeout=WAIT)["text"] == text_of(noise(4))


def test_link_and_link_error_are_called(
    start_worker: StartWorker, signature: Callable[..., Any], noise: Noise, client: Client
) -> None:
    """Success calls the link, failure the errback: each is a request of its own."""
    start_worker()
    signature(1).apply_async(link=signature(2).set(task_id="linked"))
    failing = signature(3, initial_prompt="refuse").apply_async(
        link_error=signature(4).set(task_id="errback", immutable=True)
    )
    assert client.get("linked").result(WAIT).text == text_of(noise(2))
    assert client.get("errback").result(WAIT).text == text_of(noise(4))
    with pytest.raises(Exception, match="refus"):
        failing.get(timeout=WAIT)


def test_revoked_request_never_runs(
    start_worker: StartWorker, client: Client, celery_app: Celery, redis_client: redis.Redis, noise: Noise
) -> None:
    """Celery's revoke reaches a request that waits in the worker; its neighbours run; its audio is gone."""
    start_worker(fake_fixed_ms=200, fake_per_audio_second_ms=400)
    wait_until_it_listens(celery_app)
    first = client.submit(noise(0, 25), priority="urgent")
    while first.status is not Status.RUNNING:
        pass
    waiting = client.submit(noise(1))
    neighbour = client.submit(noise(2))
    celery_app.control.revoke(waiting.request_id, reply=True, timeout=10, limit=1)
    with pytest.raises(Cancelled):
        waiting.result(WAIT)
    assert waiting.status is Status.CANCELLED
    assert neighbour.result(WAIT).text == text_of(noise(2))
    assert not redis_client.exists(payload_key(waiting.request_id))
    with pytest.raises(TaskRevokedError):
        celery_app.AsyncResult(waiting.request_id).get(timeout=WAIT)


def test_expired_request_never_runs(
    start_worker: StartWorker, client: Client, celery_app: Celery, signature: Callable[..., Any], noise: Noise
) -> None:
    """A request whose time is over when a worker first sees it ends as expired; others are not harmed."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    signature(1).apply_async(task_id="late", expires=yesterday)
    start_worker()
    ticket = client.submit(noise(2), expires=3_600)
    with pytest.raises(DeadlineExceeded):
        client.get("late").result(WAIT)
    assert client.status("late") is Status.EXPIRED
    assert ticket.result(WAIT).text == text_of(noise(2))


def test_countdown_delays_a_request(
    start_worker: StartWorker, signature: Callable[..., Any], celery_app: Celery, client: Client, noise: Noise
) -> None:
    """A request with a countdown is scheduled, visible to `inspect`, and runs when it is due."""
    start_worker()
    wait_until_it_listens(celery_app)
    signature(1).apply_async(task_id="later", countdown=15)
    inspect = celery_app.control.inspect(timeout=1, limit=1)
    while not (scheduled := (inspect.scheduled() or {}).get("w@test")):
        pass
    assert [one["request"]["id"] for one in scheduled] == ["later"]
    assert client.get("later").result(WAIT).text == text_of(noise(1))


@pytest.mark.parametrize(("transport", "held"), [("claim", 0), ("redis", 2)])
def test_inspect_sees_what_the_worker_holds(
    start_worker: StartWorker, client: Client, celery_app: Celery, noise: Noise, transport: str, held: int
) -> None:
    """`celery inspect` shows the batch that runs and what waits here; claims hold nothing for later."""
    worker = start_worker(fake_fixed_ms=60_000, max_batch_size=2, transport=transport, shutdown_grace=0.1)
    wait_until_it_listens(celery_app)
    tickets = client.submit_many([noise(number) for number in range(4)])
    inspect = celery_app.control.inspect(timeout=1, limit=1)
    while not (active := {one["id"] for one in (inspect.active() or {}).get("w@test", [])}):
        pass
    while (
        len(reserved := {one["id"] for one in (inspect.reserved() or {}).get("w@test", [])} - active) < held
    ):
        pass
    assert len(active) == 2
    assert len(reserved) == held
    assert active | reserved <= {one.request_id for one in tickets}
    assert sum(client.queue_depth().values()) == 2 - held
    worker.stop()


def test_retryable_engine_error_is_retried_by_celery(
    start_worker: StartWorker, client: Client, noise: Noise
) -> None:
    """An error for which again may help goes back through Celery's retry, with its audio, and succeeds."""
    start_worker(retry_delay=0.1)
    ticket = client.submit(noise(1), initial_prompt="fail 1 times", priority="urgent")
    assert ticket.result(WAIT).text == text_of(noise(1))


def test_retries_end(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """After `max_retries` the error is the result."""
    start_worker(retry_delay=0.1, max_retries=2)
    ticket = client.submit(noise(1), initial_prompt="fail 99 times", priority="urgent")
    with pytest.raises(EngineError):
        ticket.result(WAIT)
    assert ticket.status is Status.FAILED


def test_broken_engine_call_fails_only_the_guilty(
    start_worker: StartWorker, client: Client, noise: Noise
) -> None:
    """One request that makes the engine raise fails; its seven neighbours succeed."""
    tickets = [
        client.submit(noise(number), initial_prompt="fail" if number == 3 else None) for number in range(8)
    ]
    start_worker(min_batch_size=8)
    for number, ticket in enumerate(tickets):
        if number == 3:
            with pytest.raises(EngineError, match="scripted failure"):
                ticket.result(WAIT)
        else:
            assert ticket.result(WAIT).text == text_of(noise(number))


def test_out_of_memory_halves_the_batch(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """Nobody fails for want of memory that a smaller batch has, and later batches are smaller."""
    prompt = "out of memory above 4"
    tickets = [client.submit(noise(number), initial_prompt=prompt) for number in range(24)]
    worker = start_worker(min_batch_size=8, fake_fixed_ms=100)
    for number, ticket in enumerate(tickets):
        assert ticket.result(WAIT).text == text_of(noise(number))
    worker.wait_for_line("out of memory at 8 requests, batches hold 4 from now on", WAIT)
    receipt = tickets[-1].result(WAIT).timings
    assert receipt is not None
    assert receipt.batch_size <= 4


@pytest.mark.parametrize("transport", ["claim", "redis"])
def test_crash_takes_down_the_engine_and_nothing_else(
    start_worker: StartWorker, client: Client, noise: Noise, transport: str
) -> None:
    """A request that kills its engine is given up after two deaths alone; its neighbours succeed."""
    tickets = [
        client.submit(noise(number), initial_prompt="crash" if number == 2 else None) for number in range(6)
    ]
    worker = start_worker(min_batch_size=6, transport=transport)
    for number, ticket in enumerate(tickets):
        if number == 2:
            with pytest.raises(GaveUp, match="2 times"):
                ticket.result(WAIT)
        else:
            assert ticket.result(WAIT).text == text_of(noise(number))
    assert client.submit(noise(9), priority="urgent").result(WAIT).text == text_of(noise(9))
    assert worker.poll() is None


def test_hanging_engine_is_killed(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """A batch past its time budget costs the engine process its life, and the request its turn."""
    worker = start_worker(batch_timeout=5)
    hanging = client.submit(noise(1), initial_prompt="hang", priority="urgent")
    worker.wait_for_line("is still running after 5 s", WAIT)
    innocent = client.submit(noise(2), priority="urgent")
    with pytest.raises(GaveUp):
        hanging.result(WAIT)
    assert innocent.result(WAIT).text == text_of(noise(2))


def test_a_worker_that_was_told_to_take_no_more_takes_none(
    start_worker: StartWorker, celery_app: Celery, client: Client, noise: Noise
) -> None:
    """`cancel_consumer` leaves what comes to others; with `add_consumer` it is taken."""
    start_worker()
    assert client.submit(noise(1)).result(WAIT)
    celery_app.control.cancel_consumer(QUEUE, reply=True, timeout=10, limit=1)
    ticket = client.submit(noise(2))
    celery_app.control.inspect(timeout=10, limit=1).ping()  # what rang before this has been heard
    assert ticket.status is Status.QUEUED
    celery_app.control.add_consumer(QUEUE, reply=True, timeout=10, limit=1)
    assert ticket.result(WAIT).text == text_of(noise(2))
