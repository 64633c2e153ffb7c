"""Which Redis is refused, which is warned of."""

from typing import Any

import pytest

from workers.redis_check import doubts, problems

GOOD: dict[str, Any] = {"redis_version": "8.6.3", "maxmemory_policy": "noeviction", "aof_enabled": 1}

VALKEY = {**GOOD, "redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"}


@pytest.mark.parametrize("facts", [GOOD, VALKEY, {**GOOD, "cluster_enabled": 0}])
def test_good_redis_is_taken_without_a_word(facts: dict[str, Any]) -> None:
    """Recent, append-only, noeviction: nothing to say."""
    assert problems(facts) == doubts(facts) == []


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


def test_cluster_is_refused() -> None:
    """A Cluster is named, with what to use instead."""
    (problem,) = problems({**GOOD, "cluster_enabled": 1})
    assert "Sentinel" in problem


def test_redis_without_append_only_file_is_warned_of() -> None:
    """It may be meant so, hence a warning, not a refusal."""
    (doubt,) = doubts({**GOOD, "aof_enabled": 0})
    assert "appendonly yes" in doubt
    assert problems({**GOOD, "aof_enabled": 0}) == []


@pytest.mark.parametrize(
    ("version", "hole"),
    [
        ("7.0.14", "CVE-2025-49844"),
        ("7.0.15", None),
        ("7.2.0", "CVE-2026-23479"),
        ("8.6.2", "CVE-2026-23479"),
        ("8.6.3", None),
        ("9.0.0", None),
    ],
)
def test_known_holes_are_warned_of(version: str, hole: str | None) -> None:
    """Up to the version that mends it, each published hole is named; that version has nothing to hear."""
    found = doubts({**GOOD, "redis_version": version})
    assert [hole in doubt for doubt in found if hole] == ([True] if hole else [])
    assert len(found) == (hole is not None)


def test_holes_of_redis_are_not_valkeys() -> None:
    """Valkey calls itself Redis 7.2.4, whatever it has mended."""
    assert doubts({**VALKEY, "redis_version": "7.2.4"}) == []
