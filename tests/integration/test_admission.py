"""Promise: what could not be served is refused at the door, with the reason and when to come again."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import redis
from typer.testing import CliRunner, Result

from cli.main import app
from producer import AsyncClient, Client
from producer.admission import RETRY_AFTER_MIN, acceptance
from producer.exchange import run
from producer.submission import Terms, seal
from protocol.errors import (
    RETRY_AFTER,
    DeadlineExceeded,
    EngineError,
    Overloaded,
    QueueUnreachable,
    TranscriptionError,
)
from protocol.request import Priority
from protocol.routing import HELD, HELD_BYTES, LEASES, LIMITS, RATES, payload_key, queue_key, result_key
from protocol.transcript import Status
from workers.demo import speech

SILENCE = np.zeros(800, np.int16)

#: What the audio of one request takes.
BYTES = 1_600

NORMAL = queue_key(Priority.NORMAL)

FILES = [str(clip.path) for clip in speech()[:3]]


@pytest.fixture
def limit(redis_client: redis.Redis) -> Callable[..., None]:
    """Let an operator limit ``requests`` or ``bytes``."""

    def write(**most: int) -> None:
        for name, value in most.items():
            redis_client.hset(LIMITS, name, str(value))

    return write


@pytest.fixture
def worker(redis_client: redis.Redis) -> Callable[..., None]:
    """Let a worker say how many requests per second it gets through; it lives for `lives` seconds more."""

    def tell(name: str, rate: float | str, lives: float = 600) -> None:
        seconds, _ = redis_client.time()
        redis_client.zadd(LEASES, {name: 1_000 * (seconds + lives)})
        redis_client.hset(RATES, name, str(rate))

    return tell


@contextmanager
def refused(code: str) -> Iterator[Any]:
    """What happens inside is refused as `Overloaded` with this code."""
    with pytest.raises(Overloaded) as caught:
        yield caught
    assert (caught.value.code, caught.value.retryable) == (code, True)


def test_as_many_as_may_wait(client: Client, redis_client: redis.Redis, limit: Callable[..., None]) -> None:
    """One below the limit and at it there is room for what fills it, above it there is none; nothing of what
    is refused is kept, and each priority has its own room."""
    limit(requests=3)
    client.submit_many([SILENCE] * 2)
    client.submit(SILENCE, request_id="third")
    keys = redis_client.dbsize()
    with refused("QUEUE_FULL") as caught:
        client.submit(SILENCE)
    assert caught.value.message == "3 normal requests wait, the limit is 3"
    assert redis_client.dbsize() == keys
    assert client.submit(SILENCE, request_id="third").status is Status.QUEUED
    client.submit(SILENCE, priority="urgent")
    redis_client.rpop(NORMAL)
    client.submit(SILENCE)


def test_as_many_bytes_as_may_lie(
    client: Client, redis_client: redis.Redis, limit: Callable[..., None]
) -> None:
    """Audio up to the limit, to the byte; one sample more is refused, a shorter one still fits."""
    limit(bytes=3 * BYTES)
    client.submit_many([SILENCE] * 2)
    with refused("BYTES_FULL") as caught:
        client.submit(np.zeros(801, np.int16))
    assert caught.value.message == "the audio of normal requests would be 4802 bytes, the limit is 4800"
    client.submit(SILENCE)
    assert redis_client.hgetall(HELD_BYTES) == {b"5": b"4800"}
    with refused("BYTES_FULL"):
        client.submit(SILENCE)
    client.submit(SILENCE, priority="bulk")


def test_audio_that_has_expired_makes_room(
    client: Client, redis_client: redis.Redis, limit: Callable[..., None]
) -> None:
    """The account of what is held is kept even if no worker ever comes; the same request may come again."""
    limit(bytes=2 * BYTES)
    client.submit_many([SILENCE] * 2, request_ids=["a", "b"])
    for entry in (f"5:{BYTES}:a", f"5:{BYTES}:b"):
        redis_client.zadd(HELD, {entry: 1})
    redis_client.delete(payload_key("a"), payload_key("b"))
    client.submit_many([SILENCE] * 2, request_ids=["a", "c"])
    assert redis_client.hgetall(HELD_BYTES) == {b"5": b"3200"}
    assert redis_client.zrange(HELD, 0, -1) == [b"5:1600:a", b"5:1600:c"]


def test_audio_is_held_once_however_often_it_comes(client: Client, redis_client: redis.Redis) -> None:
    """A request that comes anew after its audio has gone is the same entry of the account, not another."""
    for _ in range(2):
        client.submit(SILENCE, request_id="a")
        redis_client.delete(payload_key("a"))
    assert redis_client.llen(NORMAL) == 2
    assert redis_client.hgetall(HELD_BYTES) == {b"5": b"1600"}
    assert redis_client.zcard(HELD) == 1


def test_the_account_is_cleared_in_small_steps(client: Client, redis_client: redis.Redis) -> None:
    """However much has expired, no submit pays for all of it; every one clears more than it adds."""
    redis_client.zadd(HELD, {f"9:1:{number}": 1 for number in range(1_000)})
    redis_client.hset(HELD_BYTES, "9", 1_000)
    client.submit(SILENCE)
    assert 1 + 1_000 - 200 < int(redis_client.zcard(HELD)) < 1_000 - 64
    for _ in range(10):
        client.submit(SILENCE)
    assert redis_client.hget(HELD_BYTES, "9") == b"0"
    assert redis_client.zcard(HELD) == 11


def test_a_client_may_allow_itself_less(
    redis_url: str, redis_client: redis.Redis, limit: Callable[..., None]
) -> None:
    """The lower of its own limit and the operator's holds."""
    with Client(redis_url, max_queued=2) as modest, Client(redis_url, max_queued=100) as greedy:
        modest.submit_many([SILENCE] * 2)
        with refused("QUEUE_FULL"):
            modest.submit(SILENCE)
        limit(requests=3)
        greedy.submit(SILENCE)
        with refused("QUEUE_FULL"):
            greedy.submit(SILENCE)


def test_what_fits_of_many_is_accepted_in_order(
    client: Client, redis_client: redis.Redis, limit: Callable[..., None]
) -> None:
    """`submit_many` raises once it is full, and says so; the same ids again send only the rest."""
    limit(requests=5)
    ids = [f"r-{number}" for number in range(8)]
    with refused("QUEUE_FULL"):
        client.submit_many([SILENCE] * 8, request_ids=ids)
    assert client.statuses(ids) == [Status.QUEUED] * 5 + [Status.UNKNOWN] * 3
    limit(requests=8)
    client.submit_many([SILENCE] * 8, request_ids=ids)
    assert redis_client.llen(NORMAL) == 8


def test_crowds_do_not_overstep(
    client: Client, redis_client: redis.Redis, limit: Callable[..., None]
) -> None:
    """Twenty threads at once: exactly as many as there is room for are accepted."""
    limit(requests=25)

    def some(_: int) -> int:
        accepted = 0
        for _ in range(5):
            try:
                client.submit(SILENCE)
            except Overloaded:
                continue
            accepted += 1
        return accepted

    with ThreadPoolExecutor(20) as threads:
        assert sum(threads.map(some, range(20))) == 25 == redis_client.llen(NORMAL)


def test_a_deadline_that_cannot_be_met_is_refused(client: Client, worker: Callable[..., None]) -> None:
    """Those ahead, at the same or a more urgent priority, over what all living workers get through."""
    worker("a", 6)
    worker("b", 4)
    worker("dead", 1_000, lives=-1)
    client.submit_many([SILENCE] * 30)
    client.submit_many([SILENCE] * 20, priority="urgent")
    with refused("WAIT_TOO_LONG") as caught:
        client.submit(SILENCE, deadline=4)
    assert caught.value.message.startswith("a request would wait 5.0 s, its deadline is in ")
    assert 0 < caught.value.retry_after < 4  # 1 s, as exactly as a client knows Redis's time, and later
    client.submit(SILENCE, deadline=100)
    client.submit(SILENCE, priority="urgent", deadline=30)
    with refused("WAIT_TOO_LONG"):
        client.submit(SILENCE, priority="urgent", deadline=1.5)


def test_nobody_knows_how_long_without_workers(client: Client, redis_client: redis.Redis) -> None:
    """No living worker has said how fast it is: nothing is refused for its deadline; one may come."""
    redis_client.hset(RATES, "gone", "0.001")
    client.submit_many([SILENCE] * 10)
    assert client.submit(SILENCE, deadline=30).status is Status.QUEUED


def test_a_deadline_that_has_passed_is_said_at_once(redis_client: redis.Redis) -> None:
    """It passed while the audio was read: nothing is queued for it, though there is room."""
    seconds, _ = redis_client.time()
    late = seal(SILENCE, None, Terms.of({"deadline": 5}, {}, 60), now=seconds - 8)
    (verdict,) = run(redis_client, acceptance([late]))
    assert isinstance(verdict, DeadlineExceeded)
    assert (verdict.code, verdict.retryable) == ("DEADLINE_EXCEEDED", False)
    assert redis_client.llen(NORMAL) == 0


@pytest.mark.parametrize(("rate", "seconds"), [("2", 2.0), ("1000", RETRY_AFTER_MIN), ("junk", RETRY_AFTER)])
def test_retry_after_is_the_workers_speed(
    client: Client, limit: Callable[..., None], worker: Callable[..., None], rate: str, seconds: float
) -> None:
    """Until the more urgent ones and as many as are too many are through: four here. Never below a tenth of a
    second, and a second where nobody knows."""
    client.submit_many([SILENCE] * 2, priority="urgent")
    client.submit_many([SILENCE] * 2)
    worker("a", rate)
    limit(requests=1)
    with refused("QUEUE_FULL") as caught:
        client.submit(SILENCE)
    assert caught.value.retry_after == seconds
    limit(requests=100, bytes=BYTES)
    with refused("BYTES_FULL") as caught:
        client.submit(SILENCE)
    assert caught.value.retry_after == seconds


@pytest.fixture
def served(redis_url: str, redis_client: redis.Redis) -> Iterator[None]:
    """A stand-in for a worker: takes messages one by one and stores a failure for each."""
    ended = threading.Event()

    def serve() -> None:
        with redis.Redis.from_url(redis_url) as connection:
            while not ended.is_set():
                taken: Any = connection.brpop([NORMAL], timeout=0.2)
                if taken:
                    request_id = json.loads(taken[1])["headers"]["id"]
                    connection.set(result_key(request_id), json.dumps({"status": "FAILURE", "result": {}}))

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.mark.usefixtures("served")
def test_a_batch_waits_for_room(client: Client, redis_url: str, limit: Callable[..., None]) -> None:
    """Both clients: what has no room yet is sent when there is some, and all have their outcomes."""
    limit(requests=2)
    by_thread = client.transcribe_batch([SILENCE] * 10, timeout=60)

    async def main() -> list[Any]:
        async with AsyncClient(redis_url) as other:
            return await other.transcribe_batch([SILENCE] * 10, timeout=60)

    for outcomes in (by_thread, asyncio.run(main())):
        assert [type(one) for one in outcomes] == [EngineError] * 10


@pytest.mark.parametrize("code", ["QUEUE_FULL", "BROKER_FULL"])
def test_a_batch_gives_up_in_time(
    client: Client, redis_url: str, redis_client: redis.Redis, limit: Callable[..., None], code: str
) -> None:
    """What finds no room within the timeout has that error in its place, for the queue as for Redis; what had
    room goes on, and nothing is raised."""
    client.submit(SILENCE)
    if code == "QUEUE_FULL":
        limit(requests=1)
    else:
        redis_client.config_set("maxmemory", "1mb")

    async def main() -> list[Any]:
        async with AsyncClient(redis_url) as other:
            return await other.transcribe_batch([b"no sound", SILENCE], timeout=0.3)

    try:
        for outcomes in (client.transcribe_batch([b"no sound", SILENCE], timeout=0.3), asyncio.run(main())):
            assert [one.code for one in outcomes if isinstance(one, TranscriptionError)] == [
                "UNSUPPORTED_FORMAT",
                code,
            ]
    finally:
        redis_client.config_set("maxmemory", "0")
    assert redis_client.llen(NORMAL) == 1


def test_a_full_redis_refuses_whole(client: Client, redis_client: redis.Redis) -> None:
    """At `maxmemory` nothing of a chunk is kept, and the error says when to come again."""
    client.submit(SILENCE)
    keys = redis_client.dbsize()
    redis_client.config_set("maxmemory", "1mb")
    try:
        with refused("BROKER_FULL") as caught:
            client.submit_many([SILENCE] * 10)
    finally:
        redis_client.config_set("maxmemory", "0")
    assert caught.value.retry_after == RETRY_AFTER
    assert (redis_client.dbsize(), redis_client.llen(NORMAL)) == (keys, 1)


def test_junk_in_place_of_the_account_costs_no_request_in_parts(
    client: Client, redis_client: redis.Redis
) -> None:
    """Somebody put something else under a key of ours: refused, and nothing is written."""
    for key in (NORMAL, HELD, HELD_BYTES, LIMITS):
        redis_client.flushdb()
        redis_client.set(key, "junk")
        with pytest.raises(QueueUnreachable, match="WRONGTYPE"):
            client.submit(SILENCE)
        assert redis_client.dbsize() == 1


@pytest.fixture
def segue(
    redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """The command, on the tests' Redis, soon impatient to know whether there is a worker."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.delenv("REDIS_PASSWORD_FILE", raising=False)
    monkeypatch.setattr("cli.outcomes.ASK_AFTER_SECONDS", 0.3)
    monkeypatch.setattr("cli.presence.ANSWER_SECONDS", 0.2)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_the_command_waits_for_room(
    segue: Callable[..., Result],
    redis_client: redis.Redis,
    limit: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One may wait: the second file is submitted once the first is taken, and both have their ids."""
    monkeypatch.setattr("cli.outcomes.ASK_AFTER_SECONDS", 60)
    limit(requests=1)

    def take() -> None:
        while not redis_client.rpop(NORMAL):
            pass

    with ThreadPoolExecutor(1) as threads:
        taken = threads.submit(take)
        submitted = segue("submit", *FILES[:2], "--timeout", "60")
        taken.result(60)
    assert (submitted.exit_code, len(submitted.stdout.split()), submitted.stderr) == (0, 2, "")


def test_the_command_gives_up_in_time(segue: Callable[..., Result], limit: Callable[..., None]) -> None:
    """No room within the timeout: the file fails, and its line of JSON says when to come again."""
    limit(requests=0)
    asked = segue("transcribe", FILES[0], "--json", "--timeout", "0.1")
    error = json.loads(asked.stdout)["error"]
    assert (asked.exit_code, error["code"], error["retry_after"]) == (1, "QUEUE_FULL", RETRY_AFTER)


def test_the_command_does_not_wait_for_nobody(
    segue: Callable[..., Result], limit: Callable[..., None]
) -> None:
    """Nobody is there to make room: said so, instead of waiting for ever."""
    limit(requests=0)
    asked = segue("submit", FILES[0])
    assert asked.exit_code == 3
    assert "[QUEUE_FULL], and no worker answers" in asked.stderr


def test_the_command_refuses_what_would_be_late(
    segue: Callable[..., Result], client: Client, worker: Callable[..., None]
) -> None:
    """With `--deadline`: at once, for waiting would not help; a deadline that can be met is accepted."""
    worker("a", 1)
    client.submit_many([SILENCE] * 60)
    asked = segue("submit", FILES[0], "--deadline", "30")
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert "[WAIT_TOO_LONG]" in asked.stderr
    assert segue("submit", FILES[0], "--deadline", "300").exit_code == 0
