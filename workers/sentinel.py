"""Celery over Redis Sentinel: whichever server the Sentinels call the master, asked at each connect.

kombu and Celery can do this themselves, but want one URL for each Sentinel, joined by semicolons; of
such a line they hide the first password only when they show it. Here the Sentinels come with the
transport options, and the URL is one.
"""

from __future__ import annotations

from typing import Any

import redis
from celery.backends.redis import SentinelBackend
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as stock
from redis.sentinel import Sentinel

SCHEME = "sentinelredis"


class AsksSentinels(stock.SentinelChannel):
    """A channel that asks the Sentinels of the transport options, not those of the URL."""

    from_transport_options = (*stock.SentinelChannel.from_transport_options, "sentinels")  # type: ignore[assignment]  # one more
    sentinels: list[tuple[str, int]]
    sentinel_kwargs: dict[str, Any]
    master_name: str

    def _sentinel_managed_pool(self, asynchronous: bool = False) -> redis.ConnectionPool:
        options = self._connparams(asynchronous)  # type: ignore[no-untyped-call]
        del options["host"], options["port"]
        manager = Sentinel(self.sentinels, sentinel_kwargs=self.sentinel_kwargs, **options)  # type: ignore[no-untyped-call]
        # Under these names kombu closes their connections with the channel's.
        setattr(self, "_async_sentinel_manager" if asynchronous else "_sentinel_manager", manager)
        pool: redis.ConnectionPool = manager.master_for(self.master_name).connection_pool  # type: ignore[no-untyped-call]
        return pool


class Transport(stock.SentinelTransport):
    """kombu's Sentinel transport with this module's channel."""

    Channel = AsksSentinels


class Backend(SentinelBackend):  # type: ignore[misc]
    """Celery's Sentinel result backend, which asks the Sentinels of the transport options."""

    def _get_sentinel_instance(self, **options: Any) -> Sentinel:
        del options["hosts"]
        given = self._transport_options
        return Sentinel(given["sentinels"], sentinel_kwargs=given["sentinel_kwargs"], **options)  # type: ignore[no-untyped-call]


def install(app: Any) -> None:
    """Let kombu and Celery know the transport and the backend by their scheme."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
    app.loader.override_backends = {**app.loader.override_backends, SCHEME: f"{__name__}:Backend"}
