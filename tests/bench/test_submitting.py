"""`segue bench submitting`: what it makes of its measurements, and one small real run."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from bench.submitting import Submitting, measure


def test_ratios_say_how_many_times_faster_we_are() -> None:
    """Above 1 is in our favour."""
    found = Submitting(
        requests=1, rounds=1, submit_many=50.0, apply_async=400.0, results=30.0, async_result_get=300.0
    )
    assert found.ratios == {"submitting_times_faster": 8.0, "collecting_times_faster": 10.0}


@pytest.mark.timeout(240)
def test_both_collect_the_very_same_results(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Stock Celery reads what our worker has stored, so the loop over `AsyncResult.get` ends."""
    found = measure(redis_url, tmp_path, requests=64, rounds=1)
    assert found.requests == 64
    assert min(found.submit_many, found.apply_async, found.results, found.async_result_get) > 0
