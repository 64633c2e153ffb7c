"""The way to Redis: where it is, how long to wait for it, and what its errors mean to a caller."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.retry
import redis.asyncio.sentinel
import redis.sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry

from protocol.address import Address, check_safe, parse_address, with_password
from protocol.errors import Overloaded, QueueUnreachable
from protocol.handshake import why_no_tls

DEFAULT_URL = "redis://127.0.0.1:6379/0"

#: Longest wait for an answer of Redis, in seconds: a submit never hangs with it (unset, a publisher
#: hangs as long as Redis does).
SOCKET_TIMEOUT = 5.0


#: Most connections of an `AsyncClient`: each is used for the milliseconds of a round trip, and a
#: thousand coroutines that submit at once must not open a thousand.
MAX_CONNECTIONS = 16

#: Longest that a coroutine waits until one of them is free, in seconds: several times as long as a Redis
#: that does not answer keeps it.
FREE_CONNECTION_TIMEOUT = 4 * SOCKET_TIMEOUT

#: What a Redis Cluster answers to commands that name keys of several of its nodes.
_CLUSTER_ERRORS = (
    redis.exceptions.ClusterCrossSlotError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MovedError,
)

#: How `SEGUE_ALLOW_INSECURE` says yes: as pydantic reads it on the workers' side.
_YES = ("1", "true", "yes", "on", "t", "y")

_OPTIONS: dict[str, Any] = {
    "socket_timeout": SOCKET_TIMEOUT,
    "socket_connect_timeout": SOCKET_TIMEOUT,
    "socket_keepalive": True,
    "health_check_interval": 30,
}


class _SentinelPool(redis.asyncio.sentinel.SentinelConnectionPool, redis.asyncio.BlockingConnectionPool):
    """Connections to whichever server the Sentinels call the master, no more than so many at a time."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close the connections; with all of them, as when the client is closed, those to the Sentinels."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose()


def connect(url: str | None = None) -> redis.Redis:
    """A client for `url`, or for the environment's ``REDIS_URL``. Connects when first used.

    Commands are not retried by themselves: a reply that got lost may mean that a submit has happened.

    Raises:
        BadAddress: the address is wrong, or not safe.
    """
    address = _address(url)
    waits = {**_OPTIONS, "retry": Retry(NoBackoff(), 0)}
    options = {**waits, **address.options()}
    if address.master is not None:
        sentinels = redis.sentinel.Sentinel(  # type: ignore[no-untyped-call]
            address.hosts,
            sentinel_kwargs={**waits, **address.sentinel_options()},
            **options,
        )
        master: redis.Redis = sentinels.master_for(address.master, ssl=address.tls is not None)  # type: ignore[no-untyped-call]
        return master
    host, port = address.hosts[0]
    kind = redis.SSLConnection if address.tls is not None else redis.Connection
    pool = redis.ConnectionPool(connection_class=kind, host=host, port=port, **options)
    return redis.Redis.from_pool(pool)


def connect_awaited(url: str | None = None) -> redis.asyncio.Redis:
    """As `connect`, for coroutines."""
    address = _address(url)
    waits = {**_OPTIONS, "retry": redis.asyncio.retry.Retry(NoBackoff(), 0)}
    options = {**waits, **address.options()}
    limits: dict[str, Any] = {"max_connections": MAX_CONNECTIONS, "timeout": FREE_CONNECTION_TIMEOUT}
    if address.master is not None:
        sentinels = redis.asyncio.sentinel.Sentinel(  # type: ignore[no-untyped-call]
            address.hosts,
            sentinel_kwargs={**waits, **address.sentinel_options()},
            **options,
        )
        master: redis.asyncio.Redis = sentinels.master_for(
            address.master, connection_pool_class=_SentinelPool, ssl=address.tls is not None, **limits
        )
        return master
    host, port = address.hosts[0]
    kind = redis.asyncio.SSLConnection if address.tls is not None else redis.asyncio.Connection
    pool = redis.asyncio.BlockingConnectionPool(
        connection_class=kind, host=host, port=port, **limits, **options
    )
    return redis.asyncio.Redis.from_pool(pool)


def url_from_environment() -> str:
    """``REDIS_URL``, with the password from ``REDIS_PASSWORD_FILE`` if there is one."""
    url = os.environ.get("REDIS_URL") or DEFAULT_URL
    password_file = os.environ.get("REDIS_PASSWORD_FILE")
    if not password_file:
        return url
    return with_password(url, Path(password_file).read_text(encoding="utf-8").rstrip("\n"))


@contextmanager
def redis_errors() -> Iterator[None]:
    """Rename Redis's errors: what a caller can do about them is what counts."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        why = why_no_tls(error) or f"{type(error).__name__}: {error}"
        raise QueueUnreachable(f"Redis did not answer: {why}") from error
    except redis.OutOfMemoryError as error:
        raise Overloaded("Redis has no memory left for another request", "BROKER_FULL") from error
    except _CLUSTER_ERRORS as error:
        raise QueueUnreachable(f"this Redis is a Cluster, which Segue does not work on: {error}") from error
    except redis.RedisError as error:
        raise QueueUnreachable(f"Redis refused: {type(error).__name__}: {error}") from error


def _address(url: str | None) -> Address:
    address = parse_address(url or url_from_environment())
    if os.environ.get("SEGUE_ALLOW_INSECURE", "").lower() not in _YES:
        check_safe(address)
    return address
