"""The proxy before Redis: what each weather does to whoever speaks through it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bench.proxy import Proxy

#: How long a client waits before it takes its Redis for silent, in seconds: who is to find it so, and others.
PATIENCE = 0.3
WAIT = 60.0


@pytest.fixture
def proxy(redis_url: str, redis_client: redis.Redis) -> Iterator[Proxy]:
    """A proxy in clear weather before the tests' Redis."""
    with Proxy(redis_url) as made:
        yield made


@pytest.fixture
def client(proxy: Proxy) -> Iterator[redis.Redis]:
    """A client that speaks through the proxy, over one connection that it keeps."""
    with connect(proxy) as made:
        yield made


@pytest.fixture
def hasty(proxy: Proxy) -> Iterator[redis.Redis]:
    """One that is soon out of patience."""
    with connect(proxy, PATIENCE) as made:
        yield made


def connect(proxy: Proxy, patience: float = WAIT) -> redis.Redis:
    """A client that connects at once and never repeats by itself."""
    return redis.Redis.from_url(
        proxy.url, socket_timeout=patience, retry=Retry(NoBackoff(), 0), single_connection_client=True
    )


def test_in_clear_weather_it_is_not_noticed(client: redis.Redis, redis_client: redis.Redis) -> None:
    """Commands and answers of any size come through unchanged, both ways."""
    large = bytes(range(256)) * 4_096
    client.set("key", large)
    assert (client.get("key"), redis_client.get("key")) == (large, large)


def test_silence_holds_back_both_ways_and_delivers_later(
    proxy: Proxy, hasty: redis.Redis, redis_client: redis.Redis
) -> None:
    """Nothing is refused and nothing comes; when the weather clears, what was sent arrives."""
    proxy.silence()
    with pytest.raises(redis.TimeoutError):
        hasty.rpush("list", "sent into silence")
    assert not redis_client.exists("list")
    proxy.clear()
    assert redis_client.blmove("list", "arrived", timeout=60) == b"sent into silence"


def test_silent_way_back_only_hides_the_answer(
    proxy: Proxy, hasty: redis.Redis, redis_client: redis.Redis
) -> None:
    """A one-way partition: Redis does what it was told, and whoever told it does not learn."""
    proxy.silence(up=False)
    with pytest.raises(redis.TimeoutError):
        hasty.rpush("list", "done")
    assert redis_client.blmove("list", "arrived", timeout=60) == b"done"


def test_new_connection_waits_in_silence(proxy: Proxy) -> None:
    """Who connects meanwhile is taken, but hears nothing until it clears."""
    proxy.silence()
    with pytest.raises(redis.TimeoutError):
        connect(proxy, PATIENCE)
    proxy.clear()
    with connect(proxy) as early:
        assert early.ping()


def test_forgotten_connection_stays_silent(proxy: Proxy, hasty: redis.Redis) -> None:
    """After a heal that forgets, only new connections speak."""
    proxy.clear(forget=True)
    with pytest.raises(redis.TimeoutError):
        hasty.ping()
    assert hasty.connection is not None
    hasty.connection.socket_timeout = WAIT
    assert hasty.ping()  # redis-py has left the silent connection and made another


def test_refusal_resets_old_and_new(proxy: Proxy, client: redis.Redis) -> None:
    """A connection that stood is reset, and so is the next, until it clears."""
    proxy.refuse()
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            client.ping()
    proxy.clear()
    assert client.ping()


def test_delay_is_on_the_way_there_and_back(proxy: Proxy, client: redis.Redis) -> None:
    """Each way takes its time, so that a round trip takes it twice."""
    proxy.slow(0.1)
    sent_at = time.monotonic()
    client.ping()
    assert time.monotonic() - sent_at >= 0.2


def test_trickle_cuts_into_drops(proxy: Proxy, client: redis.Redis) -> None:
    """Everything comes, whole, a few bytes at a time."""
    client.set("key", "x" * 100)
    proxy.slow(0.01, chunk=10)
    sent_at = time.monotonic()
    assert client.get("key") == b"x" * 100
    assert time.monotonic() - sent_at >= 0.1
