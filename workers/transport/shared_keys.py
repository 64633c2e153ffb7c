"""The keys that all workers share, and what each of them holds: for saying which one holds something else."""

from __future__ import annotations

from typing import Any

import redis

from protocol.request import Priority
from protocol.routing import BUSY, HELD, HELD_BYTES, LEASES, LIMITS, QUEUE, RATES, queue_key
from workers.transport.dead import DEAD_MESSAGES, DEAD_REQUESTS

#: What Redis's `TYPE` says of each; the last ones are kombu's.
TYPES = {
    **{queue_key(priority): "list" for priority in Priority},
    LEASES: "zset",
    BUSY: "zset",
    RATES: "hash",
    LIMITS: "hash",
    HELD: "zset",
    HELD_BYTES: "hash",
    DEAD_REQUESTS: "zset",
    DEAD_MESSAGES: "list",
    f"_kombu.binding.{QUEUE}": "set",
    "_kombu.binding.celery.pidbox": "set",
    "_kombu.binding.reply.celery.pidbox": "set",
    "_kombu.binding.celeryev": "set",
    "unacked": "hash",
    "unacked_index": "zset",
}

#: How Redis's answer begins when a command meets another type.
WRONG_TYPE = "WRONGTYPE"


def misused(connection: redis.Redis) -> str:
    """Which of them hold what somebody else put there, and what to do; empty if none does.

    One that this user may not look at is passed over.

    Raises:
        redis.RedisError: Redis does not answer.
    """
    with connection.pipeline(transaction=False) as pipe:
        for key in TYPES:
            pipe.type(key)
        found: list[Any] = pipe.execute(raise_on_error=False)
    strange = [
        f"key {key!r} is a {is_a.decode()}, and must be a {wanted}"
        for (key, wanted), is_a in zip(TYPES.items(), found, strict=True)
        if isinstance(is_a, bytes) and is_a.decode() not in (wanted, "none")
    ]
    return "; ".join([*strange, "delete or rename what is not Segue's"]) if strange else ""
