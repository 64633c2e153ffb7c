"""What a Redis must be like to be trusted with requests, looked at once when a worker starts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import redis

from protocol.handshake import why_no_tls
from workers.transport.shared_keys import misused

log = logging.getLogger(__name__)

Version = tuple[int, ...]

#: The claim scripts need `RPOP` with a count and scripts that may run when memory is full: Redis 7.0.
OLDEST: Version = (7, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """What published advisories say of the versions from `since` up to, but not with, `fixed`."""

    since: Version
    fixed: Version
    what: str


#: Only what an advisory names, and only of Redis: Valkey counts its versions by itself.
HOLES = (
    # Debian 12 mends 7.0.15 and no other of that line (changelog of 5:7.0.15-1~deb12u6 to u10). Which of its
    # patches a 7.0.15 has, Redis does not say.
    Hole(since=(7, 0), fixed=(7, 0, 15), what="CVE-2025-49844 and later ones, mended in Debian's 7.0.15"),
    # The advisory of 5 May 2026: 7.2.0 to 8.6.2, in waking blocked clients, which our bells are.
    Hole(since=(7, 2), fixed=(8, 6, 3), what="CVE-2026-23479, mended in 8.6.3"),
)


class UnfitRedis(Exception):
    """This Redis would lose requests; the message says why, and what to set."""


def check_redis(connection: redis.Redis, *, strict: bool = False) -> None:
    """Refuse a Redis that would lose requests, and warn of one that might; `strict` refuses both.

    Raises:
        UnfitRedis: it forgets keys when its memory is full, is too old for the claim transport, is a
            Cluster, speaks TLS in a way that is not accepted, or holds something else under a key of ours.
        redis.ConnectionError: it does not answer.
    """
    try:
        facts: dict[str, Any] = connection.info()
    except redis.ResponseError as error:
        log.warning("cannot look at how Redis is set (%s): see docs/operations.md for what it must be", error)
        return
    except (redis.ConnectionError, redis.TimeoutError) as error:
        if why := why_no_tls(error):
            raise UnfitRedis(why) from error
        raise
    for problem in problems(facts) + (doubts(facts) if strict else []):
        raise UnfitRedis(problem)
    if which := misused(connection):
        raise UnfitRedis(f"somebody else uses this database of Redis: {which}")
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
        found.append(f"Redis is {_dotted(version)}: {_dotted(OLDEST)} or newer is needed.")
    if facts.get("cluster_enabled"):
        found.append(
            "this Redis is a Cluster: a request, its audio and its result are written in one step, which"
            " nodes of a Cluster cannot do together. Use one server, or Sentinel to fail over."
        )
    return found


def doubts(facts: dict[str, Any]) -> list[str]:
    """What an operator should know of a Redis with these `INFO` facts."""
    found = []
    if not facts.get("aof_enabled", 1):
        found.append(
            "Redis keeps no append-only file: a restart forgets every waiting request. Set appendonly yes."
        )
    version = _version(facts)
    if facts.get("server_name", "redis") == "redis":
        found += [
            f"Redis is {_dotted(version)}, which has a known hole: {hole.what}. Update it."
            for hole in HOLES
            if hole.since <= version < hole.fixed
        ]
    return found


def _version(facts: dict[str, Any]) -> Version:
    # Valkey says 7.2.4 in `redis_version`, whatever its own.
    text = str(facts.get("redis_version", "0"))
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
