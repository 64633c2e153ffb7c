"""One look for all: however many coroutines of a client await results, one request to Redis asks for them."""

from __future__ import annotations

import asyncio

import redis.asyncio

from producer.exchange import run_awaited
from producer.pending import PAUSE_MIN, Looks
from producer.results import Outcome
from protocol.errors import QueueUnreachable, TranscriptionError

#: Longest pause between two looks, in seconds: grows to this while nothing comes. Half of it is what a
#: result comes later than it could; a single waiter costs about 1 % of a core for it.
PAUSE_MAX = 0.02

#: What each awaited request adds to the pause, in seconds: ten times what asking for it costs this
#: process (5 µs measured on a shared 2-core machine), so that looking takes a tenth of a core at most.
PAUSE_EACH = 50e-6


class Lookout:
    """Who awaits what. A task looks for as long as somebody does; it holds no connection of its own.

    Polling, not a subscription: a look that fails is the only thing that can go wrong, nothing has to be
    remade after a broken connection, and nothing is missed meanwhile.
    """

    def __init__(self, connection: redis.asyncio.Redis) -> None:
        self._connection = connection
        self._waiting: dict[str, list[asyncio.Future[Outcome]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._pause = PAUSE_MIN
        self._looks = Looks()

    async def outcome(self, request_id: str, timeout: float) -> Outcome | None:
        """How the request ended; None if it has not within `timeout` seconds. Raises `QueueUnreachable`."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request_id, []).append(future)
        self._pause = PAUSE_MIN
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            return None
        finally:
            self._forget(request_id, future)

    async def stop(self) -> None:
        """Look no more; who still waits gets a `QueueUnreachable`."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        self._fail(QueueUnreachable("the client was closed while its result was awaited"))

    async def _look(self) -> None:
        while self._waiting:
            request_ids = list(self._waiting)
            try:
                found = await run_awaited(self._connection, self._looks.next(request_ids))
            except TranscriptionError as error:
                self._fail(error)
                return
            ended = [(name, one) for name, one in zip(request_ids, found, strict=True) if one is not None]
            for request_id, outcome in ended:
                self._tell(request_id, outcome)
            await asyncio.sleep(self._next_pause(bool(ended)))

    def _next_pause(self, something_came: bool) -> float:
        self._pause = PAUSE_MIN if something_came else min(2 * self._pause, PAUSE_MAX)
        pause = self._pause + PAUSE_EACH * len(self._waiting)
        self._looks.pause(pause)
        return pause

    def _tell(self, request_id: str, outcome: Outcome) -> None:
        for future in self._waiting.pop(request_id, ()):
            if not future.done():
                future.set_result(outcome)

    def _fail(self, error: TranscriptionError) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in (future for futures in waiting.values() for future in futures):
            if not future.done():
                future.set_exception(error)

    def _forget(self, request_id: str, future: asyncio.Future[Outcome]) -> None:
        futures = self._waiting.get(request_id, [])
        if future in futures:
            futures.remove(future)
            if not futures:
                del self._waiting[request_id]
