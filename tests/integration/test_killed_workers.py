"""Promise: 10 000 requests and 30 killed workers, and every request ends exactly once, in its own result."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults import run
from bench.storm import Plan
from cli.local_redis import LocalRedis


@pytest.mark.timeout(900)
def test_thirty_killed_workers_lose_nothing(tmp_path: Path) -> None:
    """SIGKILL of a worker under load, 30 times: nothing lost, doubled or mixed up, little computed again."""
    plan = Plan(requests=10_000, kills=30, workers=3, rate=120, seed=12)
    with LocalRedis(tmp_path / "redis") as server:
        ledger = run(plan, server, tmp_path)
    assert (ledger.violations, ledger.worker_exits) == ([], 0)
    assert (ledger.accepted, ledger.succeeded) == (10_000, 10_000)
    assert ledger.strikes == {"worker killed": 30}
