"""Promise: whatever is killed, frozen or cut, every request ends exactly once, in its own result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.faults import Ledger, run
from bench.hardened import survives_full_disk
from bench.storm import Plan
from cli.local_redis import LocalRedis


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalRedis]:
    """A Redis to be killed, whose append-only file nobody else writes to."""
    with survives_full_disk(), LocalRedis(tmp_path / "redis") as running:
        yield running


def check(ledger: Ledger, plan: Plan) -> None:
    assert ledger.violations == []
    assert ledger.worker_exits == 0
    assert ledger.strikes == {str(kind): number for kind, number in plan.strikes.items() if number}
    assert (ledger.failed, ledger.gave_up) == (plan.refusals + plan.failures, plan.crashes + plan.hangs)
    ends = ledger.succeeded + ledger.failed + ledger.gave_up + ledger.cancelled + ledger.expired
    assert (ledger.submitted, ends) == (plan.requests, ledger.accepted)


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled(server: LocalRedis, tmp_path: Path) -> None:
    """3 000 requests under everything that can strike, and with everything special that a request can be."""
    plan = Plan(
        requests=3_000,
        kills=6,
        freezes=1,
        engine_kills=2,
        engine_freezes=1,
        resets=6,
        pauses=1,
        redis_kills=1,
        partitions=1,
        partition_seconds=6,
        junk=10,
        fills=1,
        full_disks=1,
        crashes=1,
        refusals=20,
        failures=20,
        twice=20,
        conflicts=20,
        copies=20,
        cancels=30,
        expiries=30,
        workers=3,
        rate=120,
        seed=11,
    )
    check(run(plan, server, tmp_path), plan)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_nothing_is_lost_in_a_long_storm(server: LocalRedis, tmp_path: Path) -> None:
    """100 000 requests; 300 workers killed, all connections cut 600 times, everything else as it comes."""
    plan = Plan(
        requests=100_000,
        kills=300,
        freezes=10,
        engine_kills=30,
        engine_freezes=5,
        resets=600,
        pauses=5,
        redis_kills=10,
        partitions=10,
        junk=300,
        fills=5,
        full_disks=5,
        crashes=10,
        hangs=5,
        refusals=300,
        failures=300,
        twice=300,
        conflicts=300,
        copies=300,
        cancels=500,
        expiries=500,
        workers=3,
        rate=60,
        seed=13,
    )
    check(run(plan, server, tmp_path), plan)
