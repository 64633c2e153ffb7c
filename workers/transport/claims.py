"""A worker's right to messages: claim them, settle them, give them back, and return those of the dead."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis

from protocol.request import Priority
from protocol.routing import queue_key

LEASES = "segue:leases"
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


class Claims:
    """One worker's lease and in-flight record.

    `renew` and `return_dead` may be called from another thread than the rest.
    """

    def __init__(self, connection: redis.Redis) -> None:
        self._redis = connection
        here = Path(__file__).parent
        self._claim, self._renew, self._give_back, self._put_back, self._settle = (
            connection.register_script((here / f"{name}.lua").read_text(encoding="utf-8"))
            for name in ("claim", "renew", "give_back", "put_back", "settle")
        )
        self.worker_id = ""
        self.undelivered: deque[Claimed] = deque()
        """Claimed, and not handed to Celery yet; outlives the connection it was claimed on."""
        self._heard_of = 0

    def take_lease(self) -> None:
        """Begin a new life: a new id, with nothing in flight."""
        worker_id = uuid4().hex
        self._renew(keys=[LEASES], args=[worker_id, _milliseconds(LEASE_SECONDS), "take"])
        self.undelivered.clear()
        self.worker_id, self._heard_of = worker_id, 0

    def renew(self) -> None:
        """Say that this worker lives. Raises `LeaseLost`."""
        if not self._renew(keys=[LEASES], args=[self.worker_id, _milliseconds(LEASE_SECONDS), "renew"]):
            raise LeaseLost(f"the lease of worker {self.worker_id} ran out")

    def claim(self, count: int) -> list[Claimed]:
        """Claim up to `count` waiting messages, urgent ones first. Raises `LeaseLost`."""
        answer = self._claim(
            keys=[LEASES, self._inflight, *LANES], args=[self.worker_id, count, self._heard_of]
        )
        if answer is None:
            raise LeaseLost(f"worker {self.worker_id} may not claim any more")
        claimed = [
            Claimed(worker_id=self.worker_id, field=field.decode(), message=message)
            for field, message in zip(answer[::2], answer[1::2], strict=True)
        ]
        self._heard_of = max((one.number for one in claimed), default=self._heard_of)
        return claimed

    def settle(
        self, results: Sequence[Result], tags: Sequence[str], payload_keys: Sequence[str] = ()
    ) -> None:
        """Write results, acknowledge the messages of `tags`, remove audio: in one step, safe to repeat.

        Raises:
            LeaseLost: nothing was written; the messages run elsewhere.
        """
        arguments: list[Any] = [self.worker_id, len(results)]
        for result in results:
            arguments += [result.value, result.ttl]
        keys = [LEASES, self._inflight, *(result.key for result in results), *payload_keys]
        if not self._settle(keys=keys, args=[*arguments, *map(self._field, tags)]):
            raise LeaseLost(f"worker {self.worker_id} came too late with {len(results)} results")

    def put_back(self, tag: str) -> None:
        """Return one message to the head of its lane. Raises `LeaseLost`."""
        self._put_back(keys=[LEASES, self._inflight, *LANES], args=[self.worker_id, self._field(tag)])

    def bury(self, claimed: Claimed) -> None:
        """Move a message that cannot be understood to the dead list, of which the newest are kept."""
        with self._redis.pipeline() as pipe:
            pipe.lpush(DEAD_MESSAGES, claimed.message[:DEAD_MESSAGE_BYTES])
            pipe.ltrim(DEAD_MESSAGES, 0, DEAD_MESSAGES_KEPT - 1)
            pipe.execute()
        self.settle([], [claimed.tag])

    def give_back(self) -> int:
        """Return everything that is in flight here, in order, and end the lease. How many that was."""
        return max(0, self._return(self.worker_id, "own"))

    def return_dead(self) -> int:
        """Return the messages of every worker whose lease has run out. How many that was."""
        returned = 0
        seconds, microseconds = self._redis.time()
        overdue: Any = self._redis.zrangebyscore(LEASES, "-inf", seconds * 1000 + microseconds // 1000)
        for worker_id in overdue:
            returned += max(0, self._return(worker_id.decode(), "dead"))
        return returned

    def _field(self, tag: str) -> str:
        worker_id, _, field = tag.partition("/")
        if worker_id != self.worker_id:
            raise LeaseLost(f"message {tag} was claimed under a lease that is lost")
        return field

    @property
    def _inflight(self) -> str:
        return INFLIGHT_PREFIX + self.worker_id

    def _return(self, worker_id: str, whose: str) -> int:
        keys = [LEASES, INFLIGHT_PREFIX + worker_id, *LANES]
        return int(self._give_back(keys=keys, args=[worker_id, whose]))


def connect(redis_url: str) -> redis.Redis:
    """A client for claims; reconnects by itself, and every script may be run twice without harm."""
    return redis.Redis.from_url(
        redis_url, socket_timeout=SOCKET_TIMEOUT, socket_connect_timeout=SOCKET_TIMEOUT
    )


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
