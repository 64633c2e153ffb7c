"""Rule: who ends a task that awaits Redis ends it, whatever the library beneath does with that."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from producer.exchange import Exchange, run_awaited, unless_cancelled

ASKED = Exchange.of_script("return 1", [], [], int)


class Deaf:
    """A connection whose wait is cancelled when the answer is there already: it gives the answer."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def execute_command(self, *_: Any) -> bytes:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return b"7"
        raise AssertionError("nobody else ends this wait")


def test_a_cancellation_is_not_lost() -> None:
    """redis-py loses one that comes together with the answer, on Python 3.11."""

    async def main() -> None:
        connection: Any = Deaf()
        task = asyncio.create_task(run_awaited(connection, ASKED))
        await connection.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_timeout_is_one() -> None:
    """Who awaits within `asyncio.timeout` is told by that, and goes on."""

    async def main() -> None:
        connection: Any = Deaf()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await run_awaited(connection, ASKED)
        await asyncio.sleep(0)

    asyncio.run(main())


def test_who_tidies_up_after_a_cancellation_may_ask() -> None:
    """What came before counts no more: the recording can still be cancelled."""

    async def answer() -> str:
        await asyncio.sleep(0)
        return "yes"

    async def waits() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return await unless_cancelled(answer())
        raise AssertionError("nobody else ends this wait")

    async def main() -> str:
        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio.run(main()) == "yes"
