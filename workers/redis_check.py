"""What a Redis must be like to be trusted with requests, looked at once when a worker starts."""

from __future__ import annotations

import logging
from typing import Any

import redis

log = logging.getLogger(__name__)

#: The claim scripts need `RPOP` with a count and scripts that may run when memory is full: Redis 7.0.
OLDEST = (7, 0)


class UnfitRedis(Exception):
    """This Redis would lose requests; the message says why, and what to set."""


def check_redis(connection: redis.Redis) -> None:
    """Refuse a Redis that would lose requests, and warn of one that might.

    Raises:
        UnfitRedis: it forgets keys when its memory is full, or is too old for the claim transport.
        redis.ConnectionError: it does not answer.
    """
    try:
        facts: dict[str, Any] = connection.info()
    except redis.ResponseError as error:
        log.warning("cannot look at how Redis is set (%s): see docs/operations.md for what it must be", error)
        return
    for problem in problems(facts):
        raise UnfitRedis(problem)
    for doubt in doubts(facts):
        log.warning("%s", doubt)


def problems(facts: dict[str, Any]) -> list[str]:
    """Why a Redis with these `INFO` facts must not be used."""
    found = []
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(
            f"Redis's maxmemory-policy is {policy}: when memory is full it would drop waiting requests"
            " without a word. Set it to noeviction."
        )
    version = _version(facts)
    if version < OLDEST:
        found.append(
            f"Redis is {'.'.join(map(str, version))}: {'.'.join(map(str, OLDEST))} or newer is needed."
        )
    return found


def doubts(facts: dict[str, Any]) -> list[str]:
    """What an operator should know of a Redis with these `INFO` facts."""
    if facts.get("aof_enabled", 1):
        return []
    return ["Redis keeps no append-only file: a restart forgets every waiting request. Set appendonly yes."]


def _version(facts: dict[str, Any]) -> tuple[int, ...]:
    # Valkey says 7.2.4 in `redis_version`, whatever its own.
    text = str(facts.get("redis_version", "0"))
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
