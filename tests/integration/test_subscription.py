"""Promise: who waits for a result is told when it is written, and the wait costs the next command nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli.local_redis import LocalRedis
from producer.connection import connect
from producer.subscription import Listeners
from protocol.routing import result_key
from tests.redis_users import as_user

#: How long what is published may take to arrive on a busy machine, in seconds.
WAIT = 60.0

#: How long it is listened where nothing is said, in seconds.
SILENCE = 0.05

ONE, TWO = result_key("one"), result_key("two")


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    """A producer's way to Redis."""
    with connect(as_user(redis_url, "producer")) as made:
        yield made


@pytest.fixture
def listeners(connection: redis.Redis) -> Listeners:
    """Its way to what is published."""
    return Listeners(connection)


def test_what_is_published_is_told(listeners: Listeners, redis_client: redis.Redis) -> None:
    """From the moment on that the block begins, in order, and nothing of other channels."""
    with listeners.subscribed(ONE, WAIT) as news:
        redis_client.publish(TWO, "not this")
        redis_client.publish(ONE, "first")
        redis_client.publish(ONE, "second")
        assert [news.wait(WAIT), news.wait(WAIT)] == [b"first", b"second"]


def test_silence_is_told_too(listeners: Listeners) -> None:
    """None, when the time is up; a time that has passed already is no error."""
    with listeners.subscribed(ONE, WAIT) as news:
        assert news.wait(SILENCE) is None
        assert news.wait(-1.0) is None


def wait_once(
    listeners: Listeners, connection: redis.Redis, redis_client: redis.Redis, name: str
) -> bytes | None:
    """As whoever waits for a result does: look, be told, and go on."""
    with listeners.subscribed(name, WAIT) as news:
        connection.ping()
        redis_client.publish(name, f"of {name}")
        return news.wait(WAIT)


def test_a_second_wait_opens_no_connection(
    listeners: Listeners, connection: redis.Redis, redis_client: redis.Redis
) -> None:
    """What was opened for the first wait serves the next, and the commands between them."""
    wait_once(listeners, connection, redis_client, ONE)
    made = redis_client.info("stats")["total_connections_received"]
    assert wait_once(listeners, connection, redis_client, TWO) == f"of {TWO}".encode()
    assert wait_once(listeners, connection, redis_client, TWO) == f"of {TWO}".encode()
    assert redis_client.info("stats")["total_connections_received"] == made


def test_what_nobody_has_read_is_not_told_to_the_next(
    listeners: Listeners, redis_client: redis.Redis
) -> None:
    """News of an earlier wait that came too late are of no interest to whoever waits on its connection."""
    with listeners.subscribed(ONE, WAIT):
        redis_client.publish(ONE, "not read")
    with listeners.subscribed(TWO, WAIT) as news:
        redis_client.publish(TWO, "read")
        assert news.wait(WAIT) == b"read"


def test_a_connection_that_has_gone_meanwhile_is_not_used(
    listeners: Listeners, connection: redis.Redis, redis_client: redis.Redis
) -> None:
    """Redis closed it, or restarted, between two waits: the second has one of its own, and no error."""
    wait_once(listeners, connection, redis_client, ONE)
    redis_client.client_kill_filter(_type="normal", skipme=True)
    redis_client.client_kill_filter(_type="pubsub", skipme=True)
    assert wait_once(listeners, connection, redis_client, TWO) == f"of {TWO}".encode()


def test_what_was_told_stays_told_though_redis_goes(tmp_path: Path) -> None:
    """Nobody loses a result because Redis went between that and the end of the wait."""
    with LocalRedis(tmp_path) as server, connect(server.url) as connection:
        with Listeners(connection).subscribed(ONE, WAIT) as news:
            connection.publish(ONE, "told")
            told = news.wait(WAIT)
            server.stop()
            connection.connection_pool.disconnect()
        assert told == b"told"


def test_who_waits_at_the_same_time_shares_nothing(listeners: Listeners, redis_client: redis.Redis) -> None:
    """Each of two waits that overlap is told its own."""
    with listeners.subscribed(ONE, WAIT) as news, listeners.subscribed(TWO, WAIT) as others:
        redis_client.publish(TWO, "two")
        redis_client.publish(ONE, "one")
        assert (news.wait(WAIT), others.wait(WAIT)) == (b"one", b"two")


def test_nothing_is_left_listening(listeners: Listeners, redis_client: redis.Redis) -> None:
    """When the block ends, nobody is subscribed any more."""
    with listeners.subscribed(ONE, WAIT):
        assert redis_client.pubsub_numsub(ONE) == [(ONE.encode(), 1)]
    while redis_client.pubsub_numsub(ONE) != [(ONE.encode(), 0)]:
        pass  # Redis is told without being waited for; pytest's time-out ends this
