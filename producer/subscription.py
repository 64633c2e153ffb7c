"""Being told of a result when it is written, on a connection that nothing else uses meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.client import PubSub

from producer.connection import SOCKET_TIMEOUT


class Subscription:
    """What is published on one channel from now on."""

    def __init__(self, channel: PubSub) -> None:
        self._channel = channel

    def wait(self, timeout: float) -> bytes | None:
        """What is published next, or None if nothing is within `timeout` seconds."""
        give_up_at = time.monotonic() + timeout
        while (left := give_up_at - time.monotonic()) > 0:
            if message := self._channel.get_message(timeout=left):
                data: bytes = message["data"]
                return data
        return None


@contextmanager
def subscribed(connection: redis.Redis, channel: str, timeout: float) -> Iterator[Subscription]:
    """Subscribe, and wait for at most `timeout` seconds until Redis has done so; ends afterwards.

    Raises:
        redis.RedisError: Redis does not answer.
    """
    pool = connection.connection_pool
    subscription = PubSub(pool, ignore_subscribe_messages=True)
    try:
        subscription.subscribe(channel)
        subscription.get_message(timeout=min(timeout, SOCKET_TIMEOUT))  # that it is so
        yield Subscription(subscription)
    except BaseException:
        subscription.close()
        raise
    _close(subscription, pool)


def _close(subscription: PubSub, pool: redis.ConnectionPool) -> None:
    """redis-py closes the connection and hands it out next: here an open one comes before it.

    Opening one takes four round trips, and what comes next may be a request that somebody waits for.
    """
    try:
        other = pool.get_connection()
    except redis.RedisError:
        subscription.close()
        return
    subscription.close()
    pool.release(other)
