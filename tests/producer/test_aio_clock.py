"""Redis's clock, awaited: read seldom, carried on, and kept when Redis is away."""

from __future__ import annotations

import asyncio

import pytest

from producer.aio_clock import AwaitedClock
from protocol.clock import REFRESH_SECONDS
from protocol.errors import QueueUnreachable


class Machine:
    """A local clock, and a Redis that is half an hour ahead and takes 0.2 s to answer."""

    def __init__(self) -> None:
        self.at = 1_000.0
        self.asked = 0
        self.is_away = False

    def monotonic(self) -> float:
        return self.at

    async def read(self) -> tuple[int, int]:
        self.asked += 1
        if self.is_away:
            raise QueueUnreachable("away")
        await asyncio.sleep(0)
        self.at += 0.1
        time = self.at + 1_800
        self.at += 0.1
        return int(time), round(time % 1 * 1e6)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_many_ask_once(machine: Machine) -> None:
    """Tasks that want the time at once share one reading, taken in the middle of its round trip."""

    async def main() -> list[float]:
        clock = AwaitedClock(machine.read, monotonic=machine.monotonic)
        return await asyncio.gather(*(clock.now() for _ in range(5)))

    times = asyncio.run(main())
    assert times == pytest.approx([machine.at + 1_800] * 5)
    assert machine.asked == 1


def test_a_reading_is_carried_on_and_renewed(machine: Machine) -> None:
    """Within a minute time passes locally; after it Redis is asked again."""

    async def main() -> None:
        clock = AwaitedClock(machine.read, monotonic=machine.monotonic)
        await clock.now()
        machine.at += REFRESH_SECONDS - 1
        assert await clock.now() == pytest.approx(machine.at + 1_800)
        assert machine.asked == 1
        machine.at += 2
        await clock.now()
        assert machine.asked == 2

    asyncio.run(main())


def test_a_redis_that_is_away_is_told_only_at_first(machine: Machine) -> None:
    """Without any reading there is no time; with an old one, that is carried on."""

    async def main() -> None:
        clock = AwaitedClock(machine.read, monotonic=machine.monotonic)
        machine.is_away = True
        with pytest.raises(QueueUnreachable):
            await clock.now()
        machine.is_away = False
        await clock.now()
        machine.is_away = True
        machine.at += 2 * REFRESH_SECONDS
        assert await clock.now() == pytest.approx(machine.at + 1_800)

    asyncio.run(main())
