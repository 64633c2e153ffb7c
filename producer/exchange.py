"""One round trip to Redis as a value: what to send, and what the answers mean.

What a client says to Redis is written once, as functions that return exchanges. `Client` runs them in
its caller's thread, `AsyncClient` awaits them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha1
from typing import Any, Generic, TypeAlias, TypeVar

import redis
import redis.asyncio

from producer.connection import redis_errors

Answer = TypeVar("Answer")
Awaited = TypeVar("Awaited")

Command: TypeAlias = tuple[Any, ...]
"""A Redis command and its arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(Generic[Answer]):
    """Commands to send together, and how to read the list of their answers."""

    commands: Sequence[Command]
    read: Callable[[list[Any]], Answer]
    transaction: bool = False
    """Whether all happens at one instant, or not at all."""
    script: str | None = None
    """What the only command, an ``EVALSHA``, runs: sent in its place where Redis does not know it yet."""

    @classmethod
    def of_script(
        cls, script: str, keys: Sequence[str], args: Sequence[Any], read: Callable[[Any], Answer]
    ) -> Exchange[Answer]:
        """Run a Lua script by its digest, so that its text goes over the wire once in Redis's life."""
        command = ("EVALSHA", _digest(script), len(keys), *keys, *args)
        return cls(commands=[command], read=lambda answers: read(answers[0]), script=script)

    def in_full(self) -> Exchange[Answer]:
        """The same for a Redis that does not know the script: with its text, which Redis then keeps."""
        command = self.commands[0]
        return replace(self, commands=[("EVAL", self.script, *command[2:])])


def run(connection: redis.Redis, exchange: Exchange[Answer]) -> Answer:
    """Send, wait, read.

    Raises:
        QueueUnreachable: Redis does not answer; whether it has received the commands is unknown.
        Overloaded: Redis has no room.
    """
    if not exchange.commands:
        return exchange.read([])
    with redis_errors():
        try:
            answers = _send(connection, exchange)
        except redis.exceptions.NoScriptError:
            answers = _send(connection, exchange.in_full())
    return exchange.read(answers)


async def run_awaited(connection: redis.asyncio.Redis, exchange: Exchange[Answer]) -> Answer:
    """As `run`, without keeping the event loop."""
    if not exchange.commands:
        return exchange.read([])
    with redis_errors():
        try:
            answers = await unless_cancelled(_send_awaited(connection, exchange))
        except redis.exceptions.NoScriptError:
            answers = await unless_cancelled(_send_awaited(connection, exchange.in_full()))
    return exchange.read(answers)


async def unless_cancelled(answer: Awaitable[Awaited]) -> Awaited:
    """What is awaited; a cancellation that comes together with it is not lost.

    redis-py sends by `asyncio.wait_for`, which hides such a cancellation before Python 3.12
    (python/cpython#86296): whoever ended a task, or closed its client, would wait on until its result came.

    Raises:
        asyncio.CancelledError: the task was cancelled meanwhile.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    found = await answer
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
    return found


def _send(connection: Any, exchange: Exchange[Any]) -> list[Any]:
    if exchange.script is not None:
        return [connection.execute_command(*exchange.commands[0])]
    with connection.pipeline(transaction=exchange.transaction) as pipe:
        _fill(pipe, exchange.commands)
        answers: list[Any] = pipe.execute()
    return answers


async def _send_awaited(connection: Any, exchange: Exchange[Any]) -> list[Any]:
    if exchange.script is not None:
        return [await connection.execute_command(*exchange.commands[0])]
    async with connection.pipeline(transaction=exchange.transaction) as pipe:
        _fill(pipe, exchange.commands)
        answers: list[Any] = await pipe.execute()
    return answers


def _fill(pipe: Any, commands: Sequence[Command]) -> None:
    """Put `commands` into a pipeline of either client: both only keep them until `execute`."""
    for command in commands:
        pipe.execute_command(*command)


@lru_cache
def _digest(script: str) -> str:
    """By which Redis knows a script that it has been sent."""
    return sha1(script.encode(), usedforsecurity=False).hexdigest()
