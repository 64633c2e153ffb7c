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
    subscription = PubSub(connection.connection_pool, ignore_subscribe_messages=True)
    try:
        subscription.subscribe(channel)
        subscription.get_message(timeout=min(timeout, SOCKET_TIMEOUT))  # that it is so
        yield Subscription(subscription)
        _hand_back(subscription)
    finally:
        subscription.close()


def _hand_back(subscription: PubSub) -> None:
    """Unsubscribe, and leave the connection open for whoever needs one next.

    redis-py would close it. Opening another takes five round trips, and what comes next may be a request that
    somebody waits for. One that Redis does not answer on is left to be closed.
    """
    try:
        subscription.unsubscribe()  # type: ignore[no-untyped-call]
        give_up_at = time.monotonic() + SOCKET_TIMEOUT
        while subscription.subscribed and (left := give_up_at - time.monotonic()) > 0:
            subscription.get_message(timeout=left)
    except redis.RedisError:
        return
    connection = subscription.connection
    if connection is not None and not subscription.subscribed:
        connection.deregister_connect_callback(subscription.on_connect)
        subscription.connection = None
        subscription.connection_pool.release(connection)
