"""Being told of a result when it is written, on a connection that nothing else uses meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.client import PubSub

from producer.connection import SOCKET_TIMEOUT


class Subscription:
    """What is published on one channel from now on."""

    def __init__(self, listener: PubSub, channel: str) -> None:
        self._listener = listener
        self._channel = channel.encode()

    def wait(self, timeout: float) -> bytes | None:
        """What is published next, or None if nothing is within `timeout` seconds."""
        message = self.next_of("message", timeout)
        return None if message is None else bytes(message["data"])

    def next_of(self, kind: str, timeout: float) -> dict[str, Any] | None:
        """What Redis says next of this kind about this channel, whatever is left of an earlier one."""
        give_up_at = time.monotonic() + timeout
        while (left := give_up_at - time.monotonic()) > 0:
            message: dict[str, Any] | None = self._listener.get_message(timeout=left)
            if message and message["type"] == kind and message["channel"] == self._channel:
                return message
        return None


class Listeners:
    """Connections to listen on, which stay open from one wait to the next. May be used by several threads.

    redis-py closes a connection that was listened on, and opening one takes five round trips while somebody
    waits. That Redis says no more on it is not waited for either, but seen when it is used next.
    """

    def __init__(self, connection: redis.Redis) -> None:
        self._pool = connection.connection_pool
        self._idle: list[PubSub] = []
        self._pid = os.getpid()

    @contextmanager
    def subscribed(self, channel: str, timeout: float) -> Iterator[Subscription]:
        """Subscribe, and wait for at most `timeout` seconds until Redis has done so; ends afterwards.

        Raises:
            redis.RedisError: Redis does not answer.
        """
        listener = self._take()
        try:
            listener.subscribe(channel)
            subscription = Subscription(listener, channel)
            subscription.next_of("subscribe", min(timeout, SOCKET_TIMEOUT))
            yield subscription
        except BaseException:
            listener.close()
            raise
        self._keep(listener, channel)

    def _take(self) -> PubSub:
        if self._pid != os.getpid():  # after a fork they are the parent's
            self._idle, self._pid = [], os.getpid()
        while (listener := self._pop()) is not None:
            if _is_quiet(listener):
                return listener
            listener.close()
        return PubSub(self._pool)

    def _pop(self) -> PubSub | None:
        try:
            return self._idle.pop()
        except IndexError:  # none, or another thread has taken it
            return None

    def _keep(self, listener: PubSub, channel: str) -> None:
        """For the next wait. This one is over: what Redis does now is no error of its."""
        try:
            listener.unsubscribe(channel)  # type: ignore[no-untyped-call]
        except redis.RedisError:
            listener.close()
        else:
            self._idle.append(listener)


def _is_quiet(listener: PubSub) -> bool:
    """Read what came after the last wait; whether that was all, and the connection still stands."""
    try:
        while listener.connection is not None and listener.connection.can_read(timeout=0):
            if not listener.subscribed:
                return False  # nobody has anything to say here any more: it is the end
            listener.get_message(timeout=0)
    except redis.RedisError:
        return False
    return True
