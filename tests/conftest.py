"""What every test may ask for: a Redis of our own."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
import redis
from hypothesis import settings

from cli.local_redis import LocalRedis, NoServer, free_port
from protocol.address import parse_address
from tests.redis_tls import over_tls
from tests.redis_users import as_user, let_in

#: What tests change of how `LocalRedis` starts a server.
AS_STARTED = {"maxmemory": "0", "maxmemory-policy": "noeviction", "appendonly": "yes"}

settings.register_profile("segue", settings.default, deadline=None)  # how long one takes is the machine's
settings.load_profile("segue")


def pytest_collection_finish() -> None:
    """Spare the collector what lives as long as the run: faster-whisper calls it for each file it decodes."""
    gc.freeze()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the tests' own Redis answers; one server for the whole run, never a `REDIS_URL` from outside.

    With ``TEST_AS_USERS=1`` it is the address of a worker with least rights, and the fixtures for clients
    and for looking into Redis are other users. With ``TEST_OVER_TLS=1`` everybody speaks TLS with it.
    """
    folder = tmp_path_factory.mktemp("redis")
    try:
        with LocalRedis(folder) as server:
            url = over_tls(server, folder) if os.environ.get("TEST_OVER_TLS") else server.url
            yield _for_users(url) if os.environ.get("TEST_AS_USERS") else url
    except NoServer as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the tests' Redis, which is as new when the test begins."""
    with redis.Redis.from_url(as_user(redis_url, "admin")) as client:
        _make_new(client)
        yield client


@pytest.fixture(scope="module")
def new_redis(redis_url: str) -> str:
    """Where the tests' Redis answers, as new when the first test of a module begins: for what they share."""
    with redis.Redis.from_url(as_user(redis_url, "admin")) as client:
        _make_new(client)
    return redis_url


@pytest.fixture
def nowhere() -> str:
    """The URL of a Redis that is not there."""
    return f"redis://127.0.0.1:{free_port()}/0"


def _make_new(client: redis.Redis) -> None:
    """Undo what tests before have left in it, or set: it is one server for all files of a process."""
    client.flushall()
    for name, value in AS_STARTED.items():
        client.config_set(name, value)


def _for_users(url: str) -> str:
    with redis.Redis.from_url(url) as connection:
        let_in(connection, parse_address(url).password or "")
    return url.replace("://:", "://worker:")
