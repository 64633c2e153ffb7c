"""Promise: an idle worker hears of work at once, and of a connection that is dead without a word soon."""

from __future__ import annotations

from collections.abc import Iterator
from select import select

import pytest
import redis
from kombu.asynchronous import Hub

from bench.proxy import Proxy
from protocol.request import Priority
from protocol.routing import queue_key
from tests.integration.outage import wait_until
from workers.transport.bell import Bell

LANE = queue_key(Priority.NORMAL)


@pytest.fixture
def proxy(redis_url: str, redis_client: redis.Redis) -> Iterator[Proxy]:
    """The way of the bell to the tests' Redis."""
    with Proxy(redis_url) as made:
        yield made


class Listener:
    """A bell on an event loop, and what it has said."""

    def __init__(self, url: str) -> None:
        self.answers: list[bool] = []
        self.errors: list[Exception] = []
        self.loop = Hub()
        connection = redis.ConnectionPool.from_url(url).make_connection()
        self.bell = Bell(
            connection, self.loop, LANE, on_answer=self.answers.append, on_error=self.errors.append
        )

    def listen(self) -> None:
        """Run the loop until the bell has said something."""
        self.bell.hang()
        while not self.answers and not self.errors:
            self.loop.run_once()


@pytest.fixture
def listener(proxy: Proxy) -> Iterator[Listener]:
    made = Listener(proxy.url)
    yield made
    made.bell.take_down()
    made.loop.close()


def test_bell_rings_and_moves_nothing(listener: Listener, redis_client: redis.Redis) -> None:
    """It is heard for what is pushed, also before, and leaves the lane as it was."""
    redis_client.lpush(LANE, "first", "second", "third")
    listener.listen()
    assert (listener.answers, listener.errors) == ([True], [])
    assert redis_client.lrange(LANE, 0, -1) == [b"third", b"second", b"first"]


def test_nothing_is_an_answer_too(listener: Listener) -> None:
    """When nothing comes, the bell says so and may be hung anew on the same connection."""
    listener.listen()
    assert (listener.answers, listener.errors) == ([False], [])


def test_dead_connection_is_an_error(listener: Listener, proxy: Proxy) -> None:
    """What a router on the way has forgotten says nothing at all: noticed by the silence, and made anew."""
    listener.bell.hang()
    proxy.clear(forget=True)
    listener.listen()
    assert listener.answers == []
    assert isinstance(listener.errors.pop(), redis.TimeoutError)
    listener.listen()
    assert (listener.answers, listener.errors) == ([False], [])


def test_refusal_is_an_error(listener: Listener, redis_client: redis.Redis) -> None:
    """What Redis says when it lets nobody wait is passed on."""
    redis_client.set(LANE, "no list")
    listener.listen()
    assert isinstance(listener.errors.pop(), redis.ResponseError)


def test_an_answer_that_waits_is_read_though_it_is_late(
    listener: Listener, redis_client: redis.Redis
) -> None:
    """A worker that was held up for seconds has heard Redis all the same: its connection is not dead."""
    listener.bell.hang()
    redis_client.lpush(LANE, "work")
    wait_until(lambda: bool(select([listener.bell._connection._sock], [], [], 0)[0]))
    listener.bell._on_silence()
    assert (listener.answers, listener.errors) == ([True], [])
