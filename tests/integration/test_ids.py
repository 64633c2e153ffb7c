"""Promise: an id stands for one content: again it is the same request, and what is gone is said to be."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import redis
from celery import Celery

from producer import AsyncClient, Client
from producer.admission import ID_TTLS
from protocol.errors import QueueUnreachable, RequestError, TranscriptionError
from protocol.request import Priority
from protocol.routing import HELD, HELD_BYTES, id_key, payload_key, queue_key, result_key
from protocol.transcript import Status
from tests.integration.cut_connection import CutConnection
from tests.redis_users import as_user

SILENCE = np.zeros(800, np.int16)
OTHER = np.ones(800, np.int16)

NORMAL = "segue\x06\x165"


def code_of(call: Callable[[], Any]) -> str:
    """The code of the error that `call` raises."""
    with pytest.raises(TranscriptionError) as caught:
        call()
    return caught.value.code


def finish(redis_client: redis.Redis, request_id: str) -> None:
    """What a worker leaves of a finished request: a result, and no audio."""
    redis_client.set(result_key(request_id), json.dumps({"status": "FAILURE", "result": {}}))
    redis_client.delete(payload_key(request_id))


def forget(redis_client: redis.Redis, *keys: str) -> None:
    """Let time to live end now."""
    for key in keys:
        redis_client.pexpire(key, 0)


def test_a_hundred_threads_submit_one_request(client: Client, redis_client: redis.Redis) -> None:
    """Same id, same content, at once: one message, and a ticket of it for everybody."""
    with ThreadPoolExecutor(100) as threads:
        submitted = [threads.submit(client.submit, SILENCE, request_id="same") for _ in range(100)]
        tickets = [one.result(60) for one in submitted]
    assert {ticket.request_id for ticket in tickets} == {"same"}
    assert redis_client.llen(NORMAL) == 1
    assert redis_client.hget(HELD_BYTES, "5") == b"1600"


def test_another_content_is_a_conflict(client: Client, redis_client: redis.Redis) -> None:
    """Other samples or options under the same id are refused, by name, as long as the id is remembered."""
    client.submit(SILENCE, request_id="call-7")
    for again in (
        lambda: client.submit(OTHER, request_id="call-7"),
        lambda: client.submit(SILENCE, request_id="call-7", language="en"),
    ):
        assert code_of(again) == "ID_CONFLICT"
    forget(redis_client, payload_key("call-7"))
    with pytest.raises(RequestError, match="'call-7' stands for other audio"):
        client.submit(OTHER, request_id="call-7")
    assert redis_client.llen(NORMAL) == 1


def test_when_and_how_it_comes_is_not_the_content(client: Client, redis_client: redis.Redis) -> None:
    """Priority, deadline, expiry and encoding say nothing of what is wanted; those of the first hold."""
    client.submit(SILENCE, request_id="same", priority="bulk")
    client.submit(SILENCE, request_id="same", priority="urgent", deadline=60, expires=60, encoding="flac")
    assert client.queue_depth() == {"urgent": 0, "normal": 0, "bulk": 1}


def test_twice_in_one_chunk_is_once(client: Client, redis_client: redis.Redis) -> None:
    """Also within one call; a conflict among others is raised, and they are enqueued."""
    group = client.submit_many([SILENCE, OTHER, SILENCE], request_ids=["a", "b", "a"])
    assert [ticket.request_id for ticket in group] == ["a", "b", "a"]
    assert redis_client.llen(NORMAL) == 2
    with pytest.raises(RequestError, match="'a' stands for"):
        client.submit_many([SILENCE, OTHER, OTHER], request_ids=["c", "a", "d"])
    assert client.statuses(["c", "d"]) == [Status.QUEUED] * 2


def test_an_id_of_ours_is_nobody_elses(client: Client, redis_client: redis.Redis) -> None:
    """What it stands for is not remembered: as long as that request is kept, it is refused to others."""
    ticket = client.submit(SILENCE)
    assert code_of(lambda: client.submit(SILENCE, request_id=ticket.request_id)) == "ID_CONFLICT"
    forget(redis_client, payload_key(ticket.request_id))
    client.submit(SILENCE, request_id=ticket.request_id)
    assert redis_client.llen(NORMAL) == 2


def test_a_finished_request_is_not_queued_again(client: Client, redis_client: redis.Redis) -> None:
    """Its ticket has the result at once; once the result is gone, the same content is a request anew."""
    client.submit(SILENCE, request_id="done")
    finish(redis_client, "done")
    redis_client.delete(NORMAL)
    assert client.submit(SILENCE, request_id="done").ready()
    assert redis_client.llen(NORMAL) == 0
    forget(redis_client, result_key("done"))
    assert client.submit(SILENCE, request_id="done").status is Status.QUEUED
    assert redis_client.llen(NORMAL) == 1


def test_a_request_of_stock_celery_is_unknown(
    client: Client, celery_app: Celery, redis_client: redis.Redis
) -> None:
    """What we did not enqueue has no record: while it waits without audio of its own nobody can say that it
    does, and the same id is a request of ours like any other."""
    celery_app.send_task("workers.transcribe", task_id="theirs", priority=5)
    assert client.status("theirs") is Status.UNKNOWN
    client.submit(SILENCE, request_id="theirs")
    assert redis_client.llen(NORMAL) == 2


def test_expired_unknown_and_pending_are_told_apart(client: Client, redis_client: redis.Redis) -> None:
    """By status and by error: queued, expired once neither audio nor result is left, unknown at last."""
    for request_id in ("waits", "lapsed", "collected"):
        client.submit(SILENCE, request_id=request_id)
    finish(redis_client, "collected")
    forget(redis_client, payload_key("lapsed"), result_key("collected"))
    names = ["waits", "lapsed", "collected", "never"]
    assert client.statuses(names) == [Status.QUEUED, Status.EXPIRED, Status.EXPIRED, Status.UNKNOWN]
    codes = [code_of(lambda name=name: client.result(name)) for name in names]  # type: ignore[misc]
    assert codes == ["RESULT_TIMEOUT", "RESULT_EXPIRED", "RESULT_EXPIRED", "UNKNOWN_ID"]
    assert [client.get(name).ready() for name in names] == [False, True, True, False]
    forget(redis_client, id_key("lapsed"))
    assert client.status("lapsed") is Status.UNKNOWN


def test_ids_are_remembered_long_after(redis_url: str, redis_client: redis.Redis) -> None:
    """Seven times as long as audio may wait: `expired` is said until then."""
    with Client(redis_url, payload_ttl=100) as client:
        client.submit(SILENCE, request_id="a")
    assert 0 < int(redis_client.ttl(payload_key("a"))) <= 100
    assert 100 * (ID_TTLS - 1) < int(redis_client.ttl(id_key("a"))) <= 100 * ID_TTLS == 700


def test_nobody_waits_for_what_is_gone(client: Client, redis_url: str, redis_client: redis.Redis) -> None:
    """Whoever waits, alone or for a group, in a thread or a coroutine, is told within seconds, not at the
    end of the wait; for what nobody has heard of, all the wait is theirs."""
    group = client.submit_many([SILENCE], request_ids=["gone"])
    forget(redis_client, payload_key("gone"))
    assert code_of(lambda: client.result("gone", timeout=500)) == "RESULT_EXPIRED"
    assert code_of(lambda: group.results(500)) == "RESULT_EXPIRED"
    assert code_of(lambda: client.result("never", timeout=0.1)) == "UNKNOWN_ID"

    async def main() -> list[Any]:
        async with AsyncClient(redis_url) as other:
            assert await other.statuses(["gone", "never"]) == [Status.EXPIRED, Status.UNKNOWN]
            waits = (other.result("gone", timeout=500), other.result("never", timeout=0.1))
            return [*await asyncio.gather(*waits, return_exceptions=True)]

    assert [error.code for error in asyncio.run(main())] == ["RESULT_EXPIRED", "UNKNOWN_ID"]


def test_coroutines_submit_once_too(redis_url: str, redis_client: redis.Redis) -> None:
    """`AsyncClient` says the same of the same ids, on a Redis that does not know the script yet."""
    redis_client.script_flush()

    async def main() -> str:
        async with AsyncClient(redis_url) as client:
            await asyncio.gather(*(client.submit(SILENCE, request_id="same") for _ in range(20)))
            with pytest.raises(RequestError) as caught:
                await client.submit_many([OTHER], request_ids=["same"])
            return caught.value.code

    assert asyncio.run(main()) == "ID_CONFLICT"
    assert redis_client.llen(NORMAL) == 1


def test_redis_may_forget_the_script(client: Client, redis_client: redis.Redis) -> None:
    """After a restart it is sent once more, by whoever needs it."""
    client.submit(SILENCE)
    redis_client.script_flush()
    client.submit(SILENCE)
    assert redis_client.llen(NORMAL) == 2


@pytest.mark.parametrize("arrives", [True, False])
def test_a_lost_answer_may_be_asked_for_again(
    redis_url: str, client: Client, redis_client: redis.Redis, arrives: bool
) -> None:
    """The connection breaks, before or after: the error leaves it open, and again makes it one request."""
    client.submit(SILENCE, request_id="first")  # so that Redis knows the script
    connection: Any = CutConnection.from_url(redis_url)
    with Client(redis_url) as unlucky:
        unlucky._connection = connection
        with connection.cut_after(int(arrives)), pytest.raises(QueueUnreachable):
            unlucky.submit(OTHER, request_id="again")
        assert redis_client.llen(NORMAL) == 1 + arrives
        unlucky.submit(OTHER, request_id="again")
    assert redis_client.llen(NORMAL) == 2


#: Fifty times: a child that submits for ever, killed as soon as it has begun and some round trips later.
KILLS = """
import os
import random
import signal
import sys

import numpy as np
import redis

from producer import Client

audio = np.zeros(8_000, np.int16)
with redis.Redis.from_url(sys.argv[2]) as watcher:
    for seed in range(50):
        before = watcher.dbsize()
        child = os.fork()
        if not child:
            with Client(sys.argv[1]) as client:
                while True:
                    client.submit_many([audio] * 8, priority="bulk")
        while watcher.dbsize() <= before:
            pass
        for _ in range(random.Random(seed).randrange(30)):
            watcher.ping()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
"""


def test_a_producer_killed_in_the_middle_leaves_nothing_half(
    redis_url: str, redis_client: redis.Redis
) -> None:
    """Fifty SIGKILLs at any moment: whole chunks only, each message with its audio, its id, its account."""
    urls = redis_url, as_user(redis_url, "admin")
    subprocess.run([sys.executable, "-c", KILLS, *urls], check=True, timeout=100)
    messages: Any = redis_client.lrange(queue_key(Priority.BULK), 0, -1)
    ids = {json.loads(message)["headers"]["id"] for message in messages}
    assert len(ids) == len(messages) >= 50 * 8
    assert len(messages) % 8 == 0
    assert redis_client.exists(*map(payload_key, ids), *map(id_key, ids)) == 2 * len(ids)
    assert redis_client.dbsize() == 2 * len(ids) + 3  # the list, and the account's two
    entries: Any = redis_client.zrange(HELD, 0, -1)
    assert {entry.decode() for entry in entries} == {f"9:16000:{name}" for name in ids}
    assert redis_client.hgetall(HELD_BYTES) == {b"9": str(16_000 * len(ids)).encode()}
    redis_client.flushdb()
