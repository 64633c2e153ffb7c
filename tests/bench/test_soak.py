"""`segue bench soak`: what counts as a leak."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from bench.soak import Look, Soak, measure


def look(requests: int, memory: float = 100.0, keys: int = 7) -> Look:
    size = round(memory * 1e6)
    return Look(requests=requests, parent_bytes=size, engine_bytes=10**8, redis_bytes=10**6, keys=keys)


def test_what_grows_before_the_warm_up_ends_is_no_leak() -> None:
    """Buffers and caches fill once."""
    soak = Soak(looks=[look(5_000, 50), look(10_000, 100), look(20_000, 104)], keys_before=5)
    assert soak.warm.requests == 10_000
    assert soak.growth["parent_bytes"] == pytest.approx(0.04)
    assert soak.is_flat


def test_growth_beyond_five_percent_is_a_leak() -> None:
    """Even if it is gone again when the run ends: the highest look counts."""
    soak = Soak(looks=[look(10_000, 100), look(15_000, 106), look(20_000, 100)], keys_before=5)
    assert not soak.is_flat


def test_a_key_that_is_left_is_a_leak() -> None:
    """Redis is back to where it was, or something is kept for every request."""
    soak = Soak(looks=[look(10_000, keys=7), look(20_000, keys=8)], keys_before=5)
    assert soak.keys_left == 1
    assert not soak.is_flat


@pytest.mark.timeout(300)
def test_a_worker_and_its_redis_are_looked_at(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """After a block is forgotten, both processes and Redis have a size, and no audio is left."""
    soak = measure(redis_url, tmp_path, requests=64, blocks=1, ttl=2)
    assert [one.requests for one in soak.looks] == [64]
    assert min(soak.looks[0].parent_bytes, soak.looks[0].engine_bytes, soak.looks[0].redis_bytes) > 10**5
    assert soak.looks[0].keys < 64
