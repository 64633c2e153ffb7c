"""Promise: each process has the rights in Redis that it needs, by deploy/redis/users.acl, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from cli.leash import Leashed
from cli.local_redis import LocalRedis
from cli.presence import worker_answers
from producer import Client
from protocol.address import parse_address
from protocol.errors import QueueUnreachable
from tests.integration.servers import worker_on
from tests.redis_users import acl, let_in, rules

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0

NORMAL_LANE = "segue\x06\x165"
RESULT = "celery-task-meta-x"

#: Who may: user by user, one command as it is sent, and whether it is allowed.
RIGHTS = [
    ("producer", ["SET", "segue:audio:x", "…"], True),
    ("producer", ["LPUSH", "segue", "…"], True),
    ("producer", ["LPUSH", NORMAL_LANE, "…"], True),
    ("producer", ["GET", RESULT], True),
    ("producer", ["SUBSCRIBE", RESULT], True),
    ("producer", ["EVALSHA", "0" * 40, "2", "segue", RESULT], True),
    ("producer", ["HSET", "segue:recording:x", "1", "…"], True),
    ("producer", ["SET", "segue:conversation:x:turn", "…"], True),
    ("producer", ["TTL", "segue:conversation:x:turn"], True),
    ("producer", ["GET", "segue:conversation:x:turn"], False),
    ("producer", ["HGET", "segue:conversation:x:context", "text"], False),
    ("producer", ["SET", RESULT, "forged"], False),
    ("producer", ["DEL", RESULT], False),
    ("producer", ["PUBLISH", RESULT, "forged"], False),
    ("producer", ["RPOP", "segue"], False),
    ("producer", ["LRANGE", "segue", "0", "-1"], False),
    ("producer", ["HGETALL", "segue:inflight:x"], False),
    ("producer", ["DEL", "segue:inflight:x"], False),
    ("producer", ["ZADD", "segue:leases", "1", "x"], False),
    ("producer", ["HMGET", "segue:rates", "x"], True),
    ("producer", ["EXISTS", "segue:audio:x", RESULT], True),
    ("producer", ["GET", "segue:audio:x"], False),
    ("producer", ["MGET", "segue:audio:x"], False),
    ("producer", ["SET", "segue:audio:x", "…", "GET"], False),
    ("producer", ["DEL", "segue:audio:x"], False),
    ("producer", ["DEL", "segue"], False),
    ("producer", ["SET", "segue", "…"], False),
    ("producer", ["EXPIRE", "segue", "1"], False),
    ("producer", ["DEL", "segue:cancelled:x"], True),
    ("producer", ["PUBLISH", "/0.celery.pidbox", "shutdown"], False),
    ("producer", ["EVALSHA", "0" * 40, "1", "elsewhere"], False),
    ("producer", ["GET", "elsewhere"], False),
    ("worker", ["BLMOVE", "segue", "segue", "RIGHT", "RIGHT", "5"], True),
    ("worker", ["SET", RESULT, "…"], True),
    ("worker", ["PUBLISH", RESULT, "…"], True),
    ("worker", ["PUBLISH", "/0.celeryev/task.succeeded", "…"], True),
    ("worker", ["PSUBSCRIBE", "/0.celery.pidbox"], True),
    ("worker", ["INFO"], True),
    ("worker", ["GET", "elsewhere"], False),
    ("worker", ["PUBLISH", "elsewhere", "…"], False),
    ("flower", ["PSUBSCRIBE", "/0.celeryev/*"], True),
    ("flower", ["PUBLISH", "/0.celery.pidbox", "ping"], True),
    ("flower", ["LLEN", NORMAL_LANE], True),
    ("flower", ["GET", RESULT], False),
    ("flower", ["GET", "segue:audio:x"], False),
    ("flower", ["LRANGE", "segue", "0", "-1"], False),
    ("flower", ["LPUSH", "segue", "…"], False),
    ("flower", ["EVALSHA", "0" * 40, "1", "segue"], False),
    ("admin", ["CONFIG", "GET", "maxmemory"], True),
]

#: What none but the admin may: to change the server, look at all keys or at their names, or write over what
#: it protects.
FORBIDDEN = (
    ["CONFIG", "SET", "dir", "/tmp"],  # noqa: S108 - a path that is never used
    ["CONFIG", "GET", "*"],
    ["KEYS", "*"],
    ["SCAN", "0"],
    ["FLUSHALL"],
    ["FLUSHDB"],
    ["RESTORE", "segue", "0", "x"],
    ["DEBUG", "SLEEP", "1"],
    ["MONITOR"],
    ["SHUTDOWN"],
    ["REPLICAOF", "NO", "ONE"],
    ["MODULE", "LOAD", "x"],
    ["ACL", "SETUSER", "x"],
    ["ACL", "LIST"],
    ["CLIENT", "KILL", "TYPE", "normal"],
    ["CLIENT", "TRACKING", "ON", "BCAST"],  # tells the names of all keys that change, and so the ids
    ["SCRIPT", "FLUSH"],
    ["FUNCTION", "LOAD", "x"],
    ["SORT", "segue"],
    ["MIGRATE", "h", "1", "segue", "0", "1"],
    ["SWAPDB", "0", "1"],
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    """A Redis that nobody enters without a name."""
    with LocalRedis(tmp_path_factory.mktemp("redis")) as running:
        with redis.Redis.from_url(running.url) as first:
            let_in(first, parse_address(running.url).password or "")
        yield running


def url_of(server: LocalRedis, user: str) -> str:
    return server.url.replace("://:", f"://{user}:")


@pytest.fixture(scope="module")
def admin(server: LocalRedis) -> Iterator[redis.Redis]:
    """The user who may ask what the others may; from here on there is no default user."""
    with redis.Redis.from_url(url_of(server, "admin"), decode_responses=True) as connection:
        acl(connection, "SETUSER", "default", *rules()["default"])
        yield connection


@pytest.fixture(scope="module")
def worker(
    server: LocalRedis, admin: redis.Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Leashed]:
    """A worker under its own user."""
    with worker_on(url_of(server, "worker"), tmp_path_factory.mktemp("worker")) as running:
        yield running


def may(admin: redis.Redis, user: str, command: list[str]) -> bool:
    return str(acl(admin, "DRYRUN", user, *command)) == "OK"


@pytest.mark.parametrize(("user", "command", "allowed"), RIGHTS, ids=lambda one: repr(one)[:60])
def test_rights_are_as_the_table_says(
    admin: redis.Redis, user: str, command: list[str], allowed: bool
) -> None:
    """Each user may what its work takes, and not what its work does not take."""
    assert may(admin, user, command) is allowed


@pytest.mark.parametrize("user", ["producer", "worker", "flower"])
def test_nobody_but_the_admin_may_change_the_server(admin: redis.Redis, user: str) -> None:
    """No dangerous command is left to any of the others, and each of them to the admin."""
    assert [command for command in FORBIDDEN if may(admin, user, command)] == []
    assert [command for command in FORBIDDEN if not may(admin, "admin", command)] == []


def test_every_user_is_in_the_table() -> None:
    """A user that is added to the file is looked at here."""
    assert set(rules()) == {user for user, _, _ in RIGHTS} | {"default"}


def test_a_request_lives_under_these_users(
    server: LocalRedis, admin: redis.Redis, worker: Leashed, noise: Noise
) -> None:
    """Submit, look, wait, cancel as producer, run as worker: nobody is refused anything on the way."""
    acl(admin, "LOG", "RESET")
    with Client(url_of(server, "producer")) as client:
        ticket = client.submit(noise(1), priority="urgent", request_id="under-users")
        assert ticket.result(WAIT).model
        assert client.submit_many([noise(2), noise(3)]).results(WAIT)
        assert client.status("under-users") == "completed"
        assert client.cancel("under-users") is False
        assert client.queue_depth()["urgent"] == 0
    assert worker.poll() is None
    assert acl(admin, "LOG") == []


def test_a_script_has_no_more_rights_than_its_caller(server: LocalRedis, admin: redis.Redis) -> None:
    """A producer may run a script that is given a result's key, and may not write the result by it."""
    with redis.Redis.from_url(url_of(server, "producer"), decode_responses=True) as producer:
        look, forge = "return redis.call('EXISTS', KEYS[1])", "return redis.call('SET', KEYS[1], 'forged')"
        assert producer.eval(look, 1, RESULT) == 0
        with pytest.raises(redis.ResponseError, match=r"ACL failure|can't access"):
            producer.eval(forge, 1, RESULT)
        assert not admin.exists(RESULT)


def test_who_may_not_ask_takes_workers_to_be_there(server: LocalRedis, admin: redis.Redis) -> None:
    """`segue transcribe` as producer cannot ask for a sign of life, and goes on waiting."""
    assert worker_answers(url_of(server, "producer"))


def test_inspect_works_as_flower(server: LocalRedis, admin: redis.Redis, worker: Leashed) -> None:
    """What Flower asks of workers, and what it listens to, works under its user."""
    acl(admin, "LOG", "RESET")
    asked = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers", "inspect", "stats", "--timeout", "10"],
        env={**os.environ, "REDIS_URL": url_of(server, "flower")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "w@test" in asked.stdout
    assert acl(admin, "LOG") == []


def test_flower_listens_under_its_user(
    server: LocalRedis, admin: redis.Redis, worker: Leashed, tmp_path: Path, noise: Noise
) -> None:
    """Flower itself comes up, hears of a request, and is refused nothing."""
    acl(admin, "LOG", "RESET")
    command = [sys.executable, "-m", "celery", "-A", "workers", "flower", "--address=127.0.0.1", "--port=0"]
    env = {**os.environ, "REDIS_URL": url_of(server, "flower"), "FLOWER_UNAUTHENTICATED_API": "1"}
    with (
        Leashed(command, log=tmp_path / "flower.log", env=env, cwd=tmp_path) as flower,
        Client(url_of(server, "producer")) as client,
    ):
        page = flower.wait_for_line(r"Visit me at (\S+)", WAIT)[1]
        flower.wait_for_line("Connected to redis", WAIT)
        give_up_at = time.monotonic() + WAIT
        while "workers.transcribe" not in urlopen(f"{page}/api/tasks", timeout=WAIT).read().decode():  # noqa: S310
            assert time.monotonic() < give_up_at, "Flower has not heard of any request"
            client.transcribe(noise(4), priority="urgent", timeout=WAIT)
    assert acl(admin, "LOG") == []


def test_nobody_comes_in_without_a_name(server: LocalRedis, admin: redis.Redis) -> None:
    """The user that Redis has by itself is off, and the client says that it was not let in."""
    with Client(server.url) as client, pytest.raises(QueueUnreachable, match="AuthenticationError"):
        client.queue_depth()
