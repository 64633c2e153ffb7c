"""Which Redis is refused, which is warned of."""

from typing import Any

import pytest

from workers.redis_check import doubts, problems

GOOD: dict[str, Any] = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction", "aof_enabled": 1}


def test_good_redis_is_taken_without_a_word() -> None:
    """Recent, append-only, noeviction: nothing to say."""
    assert problems(GOOD) == doubts(GOOD) == []


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
def test_eviction_is_refused(policy: str) -> None:
    """Any policy but noeviction is named, with what to set."""
    (problem,) = problems({**GOOD, "maxmemory_policy": policy})
    assert policy in problem
    assert "noeviction" in problem


@pytest.mark.parametrize(
    ("version", "fit"), [("6.2.14", False), ("6.9", False), ("7.0.0", True), ("8.6.3", True)]
)
def test_old_redis_is_refused(version: str, fit: bool) -> None:
    """Below 7.0 the version is named; from 7.0 on it is fine."""
    found = problems({**GOOD, "redis_version": version})
    assert (found == []) is fit


def test_redis_without_append_only_file_is_warned_of() -> None:
    """It may be meant so, hence a warning, not a refusal."""
    (doubt,) = doubts({**GOOD, "aof_enabled": 0})
    assert "appendonly yes" in doubt
    assert problems({**GOOD, "aof_enabled": 0}) == []
