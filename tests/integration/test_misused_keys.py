"""Promise: a worker that meets somebody else's data under a key of Segue's says which, and lives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from cli.leash import DidNotStart
from producer import Client
from protocol.request import Priority
from protocol.routing import LEASES, RATES, queue_key
from tests.integration.conftest import StartWorker
from workers.redis_check import UnfitRedis, check_redis
from workers.transport.dead import DEAD_MESSAGES
from workers.transport.shared_keys import TYPES

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0

LANE = queue_key(Priority.NORMAL)

#: How its line in the log goes on, whatever it could not do.
SAID = "somebody else uses a key of Segue's"


def test_every_key_of_another_type_is_refused(redis_client: redis.Redis) -> None:
    """The refusal names the key, what is there and what must be; an empty Redis, and one in use, are fine."""
    check_redis(redis_client)
    for key, wanted in TYPES.items():
        redis_client.set(key, "junk")
        with pytest.raises(UnfitRedis) as refusal:
            check_redis(redis_client)
        assert f"key {key!r} is a string, and must be a {wanted};" in str(refusal.value)
        redis_client.delete(key)


def test_starting_worker_refuses_it(start_worker: StartWorker, redis_client: redis.Redis) -> None:
    """It ends at once, non-zero, before it takes anything."""
    redis_client.set(LANE, "junk")
    with pytest.raises(DidNotStart, match="must be a list; delete or rename what is not Segue's"):
        start_worker()


def test_running_worker_says_so_and_lives(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """Also when its connections are cut meanwhile: it goes on by itself as soon as the key is free."""
    worker = start_worker()
    redis_client.set(LANE, "junk")
    worker.wait_for_line(rf"could not look for work: {SAID}.*must be a list", WAIT)
    redis_client.client_kill_filter(_type="normal", skipme=True)
    worker.wait_for_line(rf"could not connect to Redis: {SAID}", WAIT)
    redis_client.delete(LANE)
    assert client.submit(noise(1)).result(WAIT).text
    redis_client.delete(RATES)
    redis_client.set(RATES, "junk")
    late = client.submit(noise(2), priority="urgent")
    worker.wait_for_line(rf"could not store results: {SAID}.*{RATES}", WAIT)
    redis_client.delete(RATES)
    assert late.result(WAIT).text
    assert worker.poll() is None
    assert "Frequent restarts" not in worker.log.read_text("utf-8")
    redis_client.lpush(LANE, "junk")
    assert client.submit(noise(3)).result(WAIT).text
    check_redis(redis_client)  # what a worker keeps under these keys is of these types
    in_use = {key.decode() for key in redis_client.scan_iter()} & set(TYPES)
    assert {LEASES, RATES, DEAD_MESSAGES, "_kombu.binding.segue"} <= in_use
