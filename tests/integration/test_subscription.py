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


def test_the_next_command_finds_an_open_connection(connection: redis.Redis) -> None:
    """What was open before a subscription ended comes before what its end has closed."""
    with subscribed(connection, ONE, WAIT):
        in_it = connection.client_id()
    assert connection.client_id() == in_it
    with subscribed(connection, ONE, WAIT), subscribed(connection, TWO, WAIT):
        in_both = connection.client_id()
    assert connection.client_id() == in_both


def test_nothing_is_left_listening(connection: redis.Redis, redis_client: redis.Redis) -> None:
    """When the block ends, nobody is subscribed any more."""
    with subscribed(connection, ONE, WAIT):
        assert redis_client.pubsub_numsub(ONE) == [(ONE.encode(), 1)]
    while redis_client.pubsub_numsub(ONE) != [(ONE.encode(), 0)]:
        pass  # Redis notices a closed connection in its own time; pytest's time-out ends this
