"""What every test may ask for: a Redis of our own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis

from cli.local_redis import LocalRedis, NoServer


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the tests' own Redis answers; one server for the whole run, never a `REDIS_URL` from outside."""
    try:
        with LocalRedis(tmp_path_factory.mktemp("redis")) as server:
            yield server.url
    except NoServer as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the tests' Redis, which is empty when the test begins."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        yield client
