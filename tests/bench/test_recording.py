"""Promise: a recording of any length has the times of its sentences, in bounded memory, beside other work."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.recording import Found, measure

#: What Whisper's times are multiples of, in seconds.
RESOLUTION = 0.02

pytestmark = pytest.mark.usefixtures("redis_client")


def check(found: Found) -> None:
    """What holds for every length."""
    assert (found.segments, found.failures) == (found.sentences, 0)
    assert found.beyond_engine_max <= RESOLUTION
    assert found.start_error_max <= RESOLUTION
    assert found.texts_exact >= 0.9 * found.sentences - 1


def test_half_a_minute_beside_a_busy_client(new_redis: str, tmp_path: Path) -> None:
    """All sentences, each at its place, and the other client is served meanwhile."""
    found = measure(new_redis, tmp_path, seconds=30, clients=1, split="energy")
    check(found)
    assert found.others > 0


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_two_hours_beside_four_busy_clients(new_redis: str, tmp_path: Path) -> None:
    """230 MB of samples go through, and less than 100 MB of memory are needed for it."""
    found = measure(new_redis, tmp_path, seconds=7_200, clients=4, split="vad")
    check(found)
    assert found.memory_mb < 100
