"""Promise: Flower sees every audio segment as a task of its own, and neither its audio nor its text."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import redis
from celery import Celery
from numpy.typing import NDArray
from redis.client import PubSub

from producer import Client, Text
from protocol.transcript import Transcript
from tests.integration.conftest import StartWorker

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0
PROMPT = "the patient's name is"
TEXT = "to be read aloud"


def test_each_request_is_a_task_without_audio_or_text(
    start_worker: StartWorker, client: Client, celery_app: Celery, redis_client: redis.Redis, noise: Noise
) -> None:
    """Received, started, succeeded with a runtime, one of each; no prompt, audio or transcript in any."""
    start_worker()
    with PubSub(redis_client.connection_pool, ignore_subscribe_messages=True) as channel:
        channel.psubscribe("*celeryev*")
        channel.get_message(timeout=WAIT)
        group = client.submit_many([noise(number) for number in range(4)], initial_prompt=PROMPT)
        inline = base64.b64encode(noise(9).tobytes()).decode()
        reference = {"encoding": "pcm_s16le", "samples": 8_000, "base64": inline}
        celery_app.send_task("workers.transcribe", kwargs={"audio": reference}, task_id="inline")
        texts = [one.text for one in group.results(WAIT) if isinstance(one, Transcript)]
        texts.append(client.result("inline", timeout=WAIT).text)
        client.submit(Text(TEXT), request_id="text").result(WAIT)
        ids = {ticket.request_id for ticket in group} | {"inline", "text"}
        heard, events = listen_until_all_succeeded(channel, ids)

    for request_id in ids:
        kinds = [event["type"] for event in events[request_id]]
        assert kinds == ["task-received", "task-started", "task-succeeded"]
        assert events[request_id][-1]["runtime"] > 0
        said = "16 characters, " if request_id == "text" else "0.50 s pcm_s16le, any language, transcribe, "
        assert events[request_id][0]["args"].startswith(said)
    for secret in (PROMPT, TEXT, inline[:40], *texts):
        assert secret not in heard


def test_each_batch_is_a_task_beside_its_requests(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """It has the name that the receipts give it, says how large it was and why, and what became of it."""
    start_worker(min_batch_size=4, max_batch_size=4, max_batch_wait_ms=60_000)
    with PubSub(redis_client.connection_pool, ignore_subscribe_messages=True) as channel:
        channel.psubscribe("*celeryev*")
        channel.get_message(timeout=WAIT)
        prompts = [None, None, None, "fail"]
        tickets = [client.submit(noise(nth), initial_prompt=each) for nth, each in enumerate(prompts)]
        receipt = tickets[0].result(WAIT).timings
        assert receipt is not None
        _, events = listen_until_all_succeeded(channel, {receipt.batch_id})

    received, started, succeeded = events[receipt.batch_id]
    assert (received["name"], received["args"]) == ("segue.batch", "4 requests (full), 2.0 s of audio")
    assert started["type"] == "task-started"
    assert succeeded["result"] == "3 done, 1 failed"
    assert succeeded["runtime"] == receipt.engine


def test_batch_under_which_the_engine_dies_has_failed(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """Each of its runs is a task that says how the engine process ended; the request is another one."""
    start_worker()
    with PubSub(redis_client.connection_pool, ignore_subscribe_messages=True) as channel:
        channel.psubscribe("*celeryev*")
        channel.get_message(timeout=WAIT)
        ticket = client.submit(noise(1), initial_prompt="crash")
        heard: list[dict[str, Any]] = []
        while not [event for event in heard if event["type"] == "task-failed"]:
            heard += heard_on(channel)
        ticket.cancel()

    failed = next(event for event in heard if event["type"] == "task-failed")
    assert failed["uuid"] == "w@test/1"
    assert "engine process" in failed["exception"]


def heard_on(channel: PubSub) -> list[dict[str, Any]]:
    """The events of tasks in what is published next; none if nothing is."""
    message = channel.get_message(timeout=WAIT)
    body = json.loads(json.loads(message["data"])["body"]) if message else []
    return [
        event for event in (body if isinstance(body, list) else [body]) if event["type"].startswith("task-")
    ]


def listen_until_all_succeeded(channel: PubSub, ids: set[str]) -> tuple[str, dict[str, list[dict[str, Any]]]]:
    """All that was published, and the events of each task in order."""
    heard, events = "", defaultdict(list)
    succeeded: set[str] = set()
    while not ids <= succeeded:
        message = channel.get_message(timeout=WAIT)
        if message is None:
            continue
        heard += message["data"].decode()
        body = json.loads(json.loads(message["data"])["body"])
        for event in body if isinstance(body, list) else [body]:
            if event["type"].startswith("task-"):
                events[event["uuid"]].append(event)
                succeeded |= {event["uuid"]} if event["type"] == "task-succeeded" else set()
    return heard, events
