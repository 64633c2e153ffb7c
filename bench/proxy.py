"""A TCP proxy that makes the way to Redis as bad as a test wants it: silent, refused, slow or in drops.

It stands between Redis and whoever speaks to it, forwards bytes without looking at them, and is told from
any thread what the weather is. A silent proxy is what a partition looks like from both ends: connections
stay open, new ones are taken, and nothing comes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

#: Most bytes that are forwarded at once in clear weather.
CHUNK = 65_536

#: `SO_LINGER` of 0 s: closing then resets the connection instead of ending it (socket(7)).
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What happens to bytes on their way."""

    silent_up: bool = False
    """Nothing reaches Redis."""
    silent_down: bool = False
    """Nothing comes back from it."""
    refusing: bool = False
    """Connections are reset, and so is every new one."""
    delay: float = 0.0
    """Seconds that each chunk is late, in each direction."""
    chunk: int = CHUNK
    """Most bytes that are forwarded at once."""


class Proxy:
    """A way to the Redis at a URL, for as long as the context lasts; its own address is `url`."""

    def __init__(self, redis_url: str) -> None:
        self._behind = urlsplit(redis_url)
        self._port = 0
        self._weather = Weather()
        self._pipes: set[Pipe] = set()
        self._changed = asyncio.Event()
        self._ending = asyncio.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._begun.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """The same Redis, by way of the proxy."""
        credentials, at, _ = self._behind.netloc.rpartition("@")
        return urlunsplit(self._behind._replace(netloc=f"{credentials}{at}127.0.0.1:{self._port}"))

    def silence(self, *, up: bool = True, down: bool = True) -> None:
        """Forward nothing in these directions; what is sent meanwhile arrives when the weather clears."""
        self._turn(Weather(silent_up=up, silent_down=down))

    def refuse(self) -> None:
        """Reset all connections, and every new one."""
        self._turn(Weather(refusing=True), Pipe.reset)

    def slow(self, delay: float, chunk: int = CHUNK) -> None:
        """Let at most `chunk` bytes through at once, each way on each connection, `delay` seconds late."""
        self._turn(Weather(delay=delay, chunk=chunk))

    def clear(self, *, forget: bool = False) -> None:
        """Forward as if nothing had been.

        With `forget`, connections of before stay silent for good, as those that a router on the way has
        forgotten: neither end is told.
        """
        self._turn(Weather(), Pipe.forget if forget else None)

    def _turn(self, weather: Weather, to_each: Callable[[Pipe], None] | None = None) -> None:
        """Change the weather, and do this to every connection that is open; returns when it is done."""
        done = threading.Event()

        def turn() -> None:
            self._weather = weather
            if to_each is not None:
                for pipe in tuple(self._pipes):
                    to_each(pipe)
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()
            done.set()

        self._loop.call_soon_threadsafe(turn)
        done.wait()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._begun.set()
        await self._ending.wait()
        server.close()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for one in serving:
            one.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)  # for the transports to notice that they are closed

    async def _serve(self, near_reader: StreamReader, near: StreamWriter) -> None:
        try:
            if not self._weather.refusing:
                await self._until(lambda: not self._weather.silent_up)
                far_reader, far = await asyncio.open_connection(self._behind.hostname, self._behind.port)
                await self._forward_both(Pipe(near, far), near_reader, far_reader)
        except (OSError, asyncio.CancelledError):
            pass  # an end has gone away, or the proxy ends
        finally:
            _reset(near)

    async def _forward_both(self, pipe: Pipe, near: StreamReader, far: StreamReader) -> None:
        self._pipes.add(pipe)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._forward(pipe, near, pipe.far, lambda: self._weather.silent_up))
                ways.create_task(self._forward(pipe, far, pipe.near, lambda: self._weather.silent_down))
        except* OSError:
            pass  # an end has gone away
        finally:
            self._pipes.discard(pipe)
            pipe.reset()

    async def _forward(
        self, pipe: Pipe, reader: StreamReader, writer: StreamWriter, is_silent: Callable[[], bool]
    ) -> None:
        """Forward one direction until its end, which travels through the same weather."""
        while sent := await reader.read(CHUNK):
            while sent:
                await self._pass(pipe, is_silent)
                now, sent = sent[: self._weather.chunk], sent[self._weather.chunk :]
                writer.write(now)
                await writer.drain()
        await self._pass(pipe, is_silent)
        writer.close()

    async def _pass(self, pipe: Pipe, is_silent: Callable[[], bool]) -> None:
        await asyncio.sleep(self._weather.delay)
        await self._until(lambda: not pipe.forgotten and not is_silent())

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            await self._changed.wait()


class Pipe:
    """One connection through the proxy."""

    def __init__(self, near: StreamWriter, far: StreamWriter) -> None:
        self.near = near
        self.far = far
        self.forgotten = False

    def forget(self) -> None:
        """Let nothing through any more, and tell nobody."""
        self.forgotten = True

    def reset(self) -> None:
        """Reset both ends."""
        _reset(self.near)
        _reset(self.far)


def _reset(end: StreamWriter) -> None:
    with suppress(OSError):  # it is closed already
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    end.transport.abort()
