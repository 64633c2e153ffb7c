"""Redis's time without asking for it every time."""

import pytest

from protocol.clock import REFRESH_SECONDS, SharedClock


class Clocks:
    """A local monotonic clock and a Redis clock, both set by hand; every reading of Redis is counted."""

    def __init__(self) -> None:
        self.local = 100.0
        self.redis = 1_000.0
        self.readings = 0
        self.away = False

    def monotonic(self) -> float:
        return self.local

    def read(self) -> tuple[int, int]:
        if self.away:
            raise ConnectionError("away")
        self.readings += 1
        return int(self.redis), round(self.redis % 1 * 1e6)

    def pass_time(self, seconds: float) -> None:
        self.local += seconds
        self.redis += seconds


def test_time_is_carried_on_locally() -> None:
    """One reading serves for a minute, and the time goes on in between."""
    clocks = Clocks()
    clock = SharedClock(clocks.read, monotonic=clocks.monotonic)
    assert clock.now() == pytest.approx(1_000.0)
    clocks.pass_time(REFRESH_SECONDS / 2)
    assert clock.now() == pytest.approx(1_000.0 + REFRESH_SECONDS / 2)
    assert clocks.readings == 1


def test_time_is_read_again_after_a_minute() -> None:
    """A clock that was set meanwhile is noticed."""
    clocks = Clocks()
    clock = SharedClock(clocks.read, monotonic=clocks.monotonic)
    clock.now()
    clocks.redis += 5.0
    clocks.pass_time(REFRESH_SECONDS + 1)
    assert clock.now() == pytest.approx(1_006.0 + REFRESH_SECONDS)
    assert clocks.readings == 2


def test_time_goes_on_while_redis_is_away() -> None:
    """A failed refresh keeps the last offset; a first reading that fails is an error."""
    clocks = Clocks()
    clock = SharedClock(clocks.read, monotonic=clocks.monotonic)
    clock.now()
    clocks.away = True
    clocks.pass_time(2 * REFRESH_SECONDS)
    assert clock.now() == pytest.approx(1_000.0 + 2 * REFRESH_SECONDS)
    with pytest.raises(ConnectionError):
        SharedClock(clocks.read, monotonic=clocks.monotonic).now()
