"""A worker's right to messages: claim them, settle them, give them back, and return those of the dead."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis

from protocol.request import Priority
from protocol.routing import LEASES, queue_key

INFLIGHT_PREFIX = "segue:inflight:"

DEAD_MESSAGES = "segue:dead:messages"

#: What is kept of messages that could not be understood: enough to see what was sent and by whom, in at
#: most 4 MB.
DEAD_MESSAGES_KEPT = 1_000
DEAD_MESSAGE_BYTES = 4_096

#: The lists that messages are claimed from, most urgent first.
LANES = tuple(queue_key(priority) for priority in Priority)

#: How long a worker that says nothing is taken to be alive, in seconds. Renewed every second, so three
#: renewals may fail before anybody takes its messages; recovery takes no longer than this and a sweep.
LEASE_SECONDS = 4.0

#: Longest that a call may take, in seconds: well inside the lease.
SOCKET_TIMEOUT = 2.0


class LeaseLost(Exception):
    """This worker was taken for dead, and its messages run elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A message that this worker may run."""

    worker_id: str
    field: str
    """Its place in the worker's in-flight record: ``<claim number>:<lane>``."""
    message: bytes

    @property
    def number(self) -> int:
        """Which of the worker's claims it is, counted from 1."""
        return int(self.field.partition(":")[0])

    @property
    def tag(self) -> str:
        """By which it is settled; says under which lease it was claimed."""
        return f"{self.worker_id}/{self.field}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a waiter will read, and for how many seconds it is kept."""

    key: str
    value: bytes | str
    ttl: int


@dataclass(slots=True)
class _Life:
    """What a worker has under one lease; another life is another object, so that no thread mixes two."""

    worker_id: str = ""
    heard_of: int = 0
    """Number of the last claim that Redis's answers have told of."""
    undelivered: deque[Claimed] = field(default_factory=deque)


class Claims:
    """One worker's lease and in-flight record.

    `take_lease`, `renew` and `return_dead` may be called from another thread than the rest.
    """

    def __init__(self, connection: redis.Redis) -> None:
        self._redis = connection
        here = Path(__file__).parent
        self._claim, self._renew, self._give_back, self._put_back, self._settle, self._bury = (
            connection.register_script((here / f"{name}.lua").read_text(encoding="utf-8"))
            for name in ("claim", "renew", "give_back", "put_back", "settle", "bury")
        )
        self._life = _Life()

    @property
    def worker_id(self) -> str:
        """By which Redis knows this worker, until it loses its lease."""
        return self._life.worker_id

    @property
    def undelivered(self) -> deque[Claimed]:
        """Claimed, and not handed to Celery yet; outlives the connection it was claimed on."""
        return self._life.undelivered

    def take_lease(self) -> None:
        """Begin a new life: a new id, with nothing in flight."""
        worker_id = uuid4().hex
        self._renew(keys=[LEASES], args=[worker_id, _milliseconds(LEASE_SECONDS), "take"])
        self._life = _Life(worker_id)

    def renew(self) -> None:
        """Say that this worker lives. Raises `LeaseLost`."""
        if not self._renew(keys=[LEASES], args=[self.worker_id, _milliseconds(LEASE_SECONDS), "renew"]):
            raise LeaseLost(f"the lease of worker {self.worker_id} ran out")

    def claim(self, count: int) -> list[Claimed]:
        """Claim up to `count` waiting messages, urgent ones first. Raises `LeaseLost`."""
        life = self._life
        answer = self._claim(
            keys=[LEASES, inflight_key(life.worker_id), *LANES], args=[life.worker_id, count, life.heard_of]
        )
        if answer is None:
            raise LeaseLost(f"worker {life.worker_id} may not claim any more")
        claimed = [
            Claimed(worker_id=life.worker_id, field=place.decode(), message=message)
            for place, message in zip(answer[::2], answer[1::2], strict=True)
        ]
        life.heard_of = max((one.number for one in claimed), default=life.heard_of)
        return claimed

    def settle(
        self, results: Sequence[Result], tags: Sequence[str], payload_keys: Sequence[str] = ()
    ) -> None:
        """Write results, acknowledge the messages of `tags`, remove audio: in one step, safe to repeat.

        A batch that was bound while the lease was lost may hold messages of two lives: those of the
        earlier one are somebody else's to acknowledge, and the first result of each stands.

        Raises:
            LeaseLost: nothing was written; all the messages run elsewhere.
        """
        worker_id = self.worker_id
        fields = [tag.partition("/")[2] for tag in tags if tag.startswith(worker_id + "/")]
        if tags and not fields:
            raise LeaseLost(f"{len(results)} results came too late: their messages run elsewhere")
        arguments: list[Any] = [worker_id, len(results)]
        for result in results:
            arguments += [result.value, result.ttl]
        keys = [LEASES, inflight_key(worker_id), *(result.key for result in results), *payload_keys]
        if not self._settle(keys=keys, args=[*arguments, *fields]):
            raise LeaseLost(f"worker {worker_id} came too late with {len(results)} results")

    def put_back(self, tag: str) -> None:
        """Return one message to the head of its lane; safe to repeat. Raises `LeaseLost`."""
        worker_id = self.worker_id
        keys = [LEASES, inflight_key(worker_id), *LANES]
        if self._put_back(keys=keys, args=[worker_id, _field(tag, worker_id)]) < 0:
            raise LeaseLost(f"worker {worker_id} came too late to put {tag} back")

    def bury(self, claimed: Claimed) -> None:
        """Move a message that cannot be understood to the dead list, of which the newest are kept.

        If the lease is lost, this is left to whoever has the message now.
        """
        self._bury(
            keys=[LEASES, inflight_key(claimed.worker_id), DEAD_MESSAGES],
            args=[claimed.worker_id, claimed.field, DEAD_MESSAGE_BYTES, DEAD_MESSAGES_KEPT],
        )

    def give_back(self) -> int:
        """Return everything that is in flight here, in order, and end the lease. How many that was."""
        return max(0, self._return(self.worker_id, "own"))

    def return_dead(self) -> int:
        """Return the messages of every other worker whose lease has run out. How many that was.

        Whoever sweeps lives: after a time without Redis, its own lease is for `renew` to save.
        """
        seconds, microseconds = self._redis.time()
        overdue: Any = self._redis.zrangebyscore(LEASES, "-inf", seconds * 1000 + microseconds // 1000)
        others = (found.decode() for found in overdue if found.decode() != self.worker_id)
        return sum(max(0, self._return(worker_id, "dead")) for worker_id in others)

    def _return(self, worker_id: str, whose: str) -> int:
        keys = [LEASES, inflight_key(worker_id), *LANES]
        return int(self._give_back(keys=keys, args=[worker_id, whose]))


def inflight_key(worker_id: str) -> str:
    """The hash that holds a worker's claimed messages by their fields, and under ``#`` their count."""
    return INFLIGHT_PREFIX + worker_id


def connect(redis_url: str) -> redis.Redis:
    """A client for claims; reconnects by itself, and every script may be run twice without harm."""
    return redis.Redis.from_url(
        redis_url, socket_timeout=SOCKET_TIMEOUT, socket_connect_timeout=SOCKET_TIMEOUT
    )


def _field(tag: str, worker_id: str) -> str:
    claimed_by, _, place = tag.partition("/")
    if claimed_by != worker_id:
        raise LeaseLost(f"message {tag} was claimed under a lease that is lost")
    return place


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
