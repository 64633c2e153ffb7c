"""Promise: whatever is killed, frozen or cut, every request ends exactly once, in its own result."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from bench.faults import Ledger, run
from bench.nemesis import Plan


def check(ledger: Ledger, plan: Plan) -> None:
    assert ledger.is_clean, ledger
    assert ledger.succeeded == plan.requests
    # One batch of 8 at most is on the engine when a worker or an engine dies.
    assert ledger.recomputed <= 8 * (plan.kills + plan.freezes + plan.engine_kills)


@pytest.mark.timeout(280)
def test_nothing_is_lost_or_doubled(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> None:
    """3 000 requests; 9 workers killed, one frozen, 3 engines killed, all connections cut 10 times."""
    plan = Plan(requests=3_000, kills=9, freezes=1, resets=10, engine_kills=3, rate=120, seed=11)
    check(run(plan, redis_url, tmp_path), plan)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_nothing_is_lost_in_a_storm(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> None:
    """10 000 requests; 30 kills, 3 freezes, 10 engine kills, 60 resets."""
    plan = Plan(requests=10_000, kills=30, freezes=3, resets=60, engine_kills=10, rate=120, seed=12)
    check(run(plan, redis_url, tmp_path), plan)
