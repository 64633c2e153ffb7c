"""The way to Redis: where it is, how long to wait for it, and what its errors mean to a caller."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff
from redis.retry import Retry

from protocol.errors import Overloaded, QueueUnreachable

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

_OPTIONS = {
    "socket_timeout": SOCKET_TIMEOUT,
    "socket_connect_timeout": SOCKET_TIMEOUT,
    "socket_keepalive": True,
    "health_check_interval": 30,
}


def connect(url: str | None = None) -> redis.Redis:
    """A client for `url`, or for the environment's ``REDIS_URL``. Connects when first used.

    Commands are not retried by themselves: a reply that got lost may mean that a submit has happened.
    """
    return redis.Redis.from_url(url or url_from_environment(), retry=Retry(NoBackoff(), 0), **_OPTIONS)


def connect_awaited(url: str | None = None) -> redis.asyncio.Redis:
    """As `connect`, for coroutines."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url or url_from_environment(),
        max_connections=MAX_CONNECTIONS,
        timeout=FREE_CONNECTION_TIMEOUT,
        retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
        **_OPTIONS,
    )
    return redis.asyncio.Redis.from_pool(pool)


def url_from_environment() -> str:
    """``REDIS_URL``, with the password from ``REDIS_PASSWORD_FILE`` if there is one."""
    url = os.environ.get("REDIS_URL") or DEFAULT_URL
    password_file = os.environ.get("REDIS_PASSWORD_FILE")
    if not password_file:
        return url
    parts = urlsplit(url)
    password = quote(Path(password_file).read_text(encoding="utf-8").rstrip("\n"), safe="")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{password}@{host}"))


@contextmanager
def redis_errors() -> Iterator[None]:
    """Rename Redis's errors: what a caller can do about them is what counts."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise QueueUnreachable(f"Redis did not answer: {type(error).__name__}: {error}") from error
    except redis.OutOfMemoryError as error:
        raise Overloaded("Redis has no memory left for another request", "BROKER_FULL") from error
    except redis.RedisError as error:
        raise QueueUnreachable(f"Redis refused: {type(error).__name__}: {error}") from error
