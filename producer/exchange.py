"""One round trip to Redis as a value: what to send, and what the answers mean.

What a client says to Redis is written once, as functions that return exchanges. `Client` runs them in
its caller's thread, `AsyncClient` awaits them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import redis
import redis.asyncio

from producer.connection import redis_errors

Answer = TypeVar("Answer")

Command: TypeAlias = tuple[Any, ...]
"""A Redis command and its arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(Generic[Answer]):
    """Commands to send together, and how to read the list of their answers."""

    commands: Sequence[Command]
    read: Callable[[list[Any]], Answer]
    transaction: bool = False
    """Whether all happens at one instant, or not at all."""


def run(connection: redis.Redis, exchange: Exchange[Answer]) -> Answer:
    """Send, wait, read.

    Raises:
        QueueUnreachable: Redis does not answer; whether it has received the commands is unknown.
        Overloaded: Redis has no room.
    """
    if not exchange.commands:
        return exchange.read([])
    with redis_errors(), connection.pipeline(transaction=exchange.transaction) as pipe:
        _fill(pipe, exchange.commands)
        answers = pipe.execute()
    return exchange.read(answers)


async def run_awaited(connection: redis.asyncio.Redis, exchange: Exchange[Answer]) -> Answer:
    """As `run`, without keeping the event loop."""
    if not exchange.commands:
        return exchange.read([])
    with redis_errors():
        async with connection.pipeline(transaction=exchange.transaction) as pipe:
            _fill(pipe, exchange.commands)
            answers = await pipe.execute()
    return exchange.read(answers)


def _fill(pipe: Any, commands: Sequence[Command]) -> None:
    """Put `commands` into a pipeline of either client: both only keep them until `execute`."""
    for command in commands:
        pipe.execute_command(*command)
