"""Promise: a worker refuses a Redis that would lose requests, before it takes one."""

import pytest
import redis

from cli.leash import DidNotStart
from tests.integration.conftest import StartWorker


def test_evicting_redis_is_refused_at_start(start_worker: StartWorker, redis_client: redis.Redis) -> None:
    """With an eviction policy the worker ends at once, non-zero, and says what to set."""
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(DidNotStart, match="maxmemory-policy is allkeys-lru"):
            start_worker()
    finally:
        redis_client.config_set("maxmemory-policy", "noeviction")


def test_forgetful_redis_is_warned_of(start_worker: StartWorker, redis_client: redis.Redis) -> None:
    """Without an append-only file the worker starts, and says what a restart would cost."""
    redis_client.config_set("appendonly", "no")
    try:
        start_worker().wait_for_line("keeps no append-only file", 60)
    finally:
        redis_client.config_set("appendonly", "yes")
