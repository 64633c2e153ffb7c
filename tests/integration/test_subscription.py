"""Promise: who waits for a result is told when it is written, and the wait costs the next command nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from producer.connection import connect
from producer.subscription import subscribed
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


def test_what_is_published_is_told(connection: redis.Redis, redis_client: redis.Redis) -> None:
    """From the moment on that the block begins, in order, and nothing of other channels."""
    with subscribed(connection, ONE, WAIT) as news:
        redis_client.publish(TWO, "not this")
        redis_client.publish(ONE, "first")
        redis_client.publish(ONE, "second")
        assert [news.wait(WAIT), news.wait(WAIT)] == [b"first", b"second"]


def test_silence_is_told_too(connection: redis.Redis) -> None:
    """None, when the time is up; a time that has passed already is no error."""
    with subscribed(connection, ONE, WAIT) as news:
        assert news.wait(SILENCE) is None
        assert news.wait(-1.0) is None


def test_a_wait_opens_no_connection_of_its_own(connection: redis.Redis, redis_client: redis.Redis) -> None:
    """What was opened for the first wait serves the next, and the commands between them."""
    made = [-1, -1]
    for name in (ONE, TWO):
        with subscribed(connection, name, WAIT) as news:
            connection.ping()
            redis_client.publish(name, name)
            assert news.wait(WAIT) == name.encode()
        connection.ping()
        made = [made[1], redis_client.info("stats")["total_connections_received"]]
    assert made[0] == made[1]


def test_what_was_published_last_disturbs_no_command(
    connection: redis.Redis, redis_client: redis.Redis
) -> None:
    """What nobody has read any more when the wait ends is not taken for an answer to what comes next."""
    with subscribed(connection, ONE, WAIT):
        redis_client.publish(ONE, "not read")
    assert connection.ping() is True
    assert connection.echo("mine") == b"mine"


def test_nothing_is_left_listening(connection: redis.Redis, redis_client: redis.Redis) -> None:
    """When the block ends, nobody is subscribed any more."""
    with subscribed(connection, ONE, WAIT):
        assert redis_client.pubsub_numsub(ONE) == [(ONE.encode(), 1)]
    while redis_client.pubsub_numsub(ONE) != [(ONE.encode(), 0)]:
        pass  # Redis notices a closed connection in its own time; pytest's time-out ends this
