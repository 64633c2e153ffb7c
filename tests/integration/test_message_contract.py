"""Promise: what the client writes is what stock Celery would have written."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import redis
from celery import Celery

from producer import Client
from protocol.request import Priority
from protocol.routing import PRIORITY_NUMBERS, payload_key, queue_key

#: What is different for every message, or says who sent it.
OWN = {"origin", "reply_to", "delivery_tag", "argsrepr", "kwargsrepr", "expires", "expiration"}


def pushed(redis_client: redis.Redis, priority: Priority) -> dict[str, Any]:
    message: Any = redis_client.rpop(queue_key(priority))
    return dict(json.loads(message))


def without_own(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name not in OWN}


def test_message_equals_stock_celerys(client: Client, celery_app: Celery, redis_client: redis.Redis) -> None:
    """Field by field, for every priority: body, headers and properties are those of `send_task`."""
    for priority in Priority:
        redis_client.flushdb()
        client.submit(np.zeros(16_000, np.int16), request_id="same", priority=priority, language="en")
        ours = pushed(redis_client, priority)
        args, kwargs, _ = json.loads(ours["body"])
        celery_app.send_task(
            "workers.transcribe", args, kwargs, task_id="same", priority=PRIORITY_NUMBERS[priority]
        )
        stock = pushed(redis_client, priority)
        assert json.loads(ours["body"]) == json.loads(stock["body"])
        assert without_own(ours["headers"]) == without_own(stock["headers"])
        assert without_own(ours["properties"]) == without_own(stock["properties"])
        assert ours.keys() == stock.keys()


def test_expiry_is_written_as_celery_writes_it(
    client: Client, celery_app: Celery, redis_client: redis.Redis
) -> None:
    """`expires` becomes an ISO time as stock Celery computes it."""
    client.submit(np.zeros(16_000, np.int16), expires=3_600)
    celery_app.send_task("workers.transcribe", expires=3_600, priority=5)
    ours, stock = (pushed(redis_client, Priority.NORMAL)["headers"]["expires"] for _ in range(2))
    assert abs(datetime.fromisoformat(ours) - datetime.fromisoformat(stock)) < timedelta(minutes=1)
    assert ours.endswith("+00:00")


def test_audio_and_message_arrive_together(client: Client, redis_client: redis.Redis) -> None:
    """One transaction writes both; the audio has a time to live and is the samples themselves."""
    audio = np.arange(1_600, dtype=np.int16)
    client.submit(audio, request_id="both")
    assert redis_client.get(payload_key("both")) == audio.tobytes()
    assert 0 < int(redis_client.ttl(payload_key("both"))) <= 86_400
    message = pushed(redis_client, Priority.NORMAL)
    assert message["headers"]["argsrepr"] == message["headers"]["kwargsrepr"] == "<hidden>"
