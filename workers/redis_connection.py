"""The way to Redis for workers and Flower: one address, for redis-py, kombu and Celery alike."""

from __future__ import annotations

from typing import Any

import redis
from redis.sentinel import Sentinel

from protocol.address import Address, parse_address
from workers import sentinel

#: Longest wait for a Sentinel's answer, in seconds: there are others to ask.
SENTINEL_TIMEOUT = 1.0


def connect(redis_url: str, **options: Any) -> redis.Redis:
    """A client for `redis_url` whose connections have these further options. Connects when first used."""
    address = parse_address(redis_url)
    options |= address.options()
    if address.master is not None:
        sentinels = Sentinel(address.hosts, sentinel_kwargs=_sentinel_options(address), **options)  # type: ignore[no-untyped-call]
        master: redis.Redis = sentinels.master_for(address.master, ssl=address.tls is not None)  # type: ignore[no-untyped-call]
        return master
    host, port = address.hosts[0]
    kind = redis.SSLConnection if address.tls is not None else redis.Connection
    return redis.Redis.from_pool(redis.ConnectionPool(connection_class=kind, host=host, port=port, **options))


def connect_app(app: Any, redis_url: str) -> None:
    """Tell a Celery application of this address: broker, result backend, TLS, Sentinels.

    The URLs that Celery gets have one host and no query, since it knows how to hide the password of those
    and only those wherever it shows them.
    """
    address = parse_address(redis_url)
    by_sentinel: dict[str, Any] = {}
    if address.master is not None:
        sentinel.install(app)
        by_sentinel = {
            "sentinels": [list(host) for host in address.hosts],
            "master_name": address.master,
            "sentinel_kwargs": _sentinel_options(address),
        }
    url = address.url(sentinel.SCHEME if by_sentinel else "redis")
    app.conf.update(
        broker_url=url,
        result_backend=url,
        broker_use_ssl=address.tls and dict(address.tls),
        redis_backend_use_ssl=address.tls and dict(address.tls),
        broker_transport_options={**app.conf.broker_transport_options, **by_sentinel},
        result_backend_transport_options=by_sentinel,
    )


def _sentinel_options(address: Address) -> dict[str, Any]:
    waits = {"socket_timeout": SENTINEL_TIMEOUT, "socket_connect_timeout": SENTINEL_TIMEOUT}
    return {**waits, **address.sentinel_options()}
