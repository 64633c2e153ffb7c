"""A worker's right to messages: claim them, settle them, give them back, and return those of the dead."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

import redis

from protocol.request import Priority
from protocol.routing import (
    BUSY,
    DEATHS_KEY_PREFIX,
    LEASES,
    RATES,
    RESULT_KEY_PREFIX,
    inflight_key,
    queue_key,
)
from workers import redis_connection
from workers.transport import starting
from workers.transport.dead import DEAD_MESSAGES
from workers.transport.scripts import NAMES, script
from workers.transport.settlement import Settlement, place_of
from workers.transport.shared_keys import WRONG_TYPE, misused

#: What is kept of messages that could not be understood: enough to see what was sent and by whom, in at
#: most 4 MB.
DEAD_MESSAGES_KEPT = 1_000
DEAD_MESSAGE_BYTES = 4_096

#: The lists that messages are claimed from, most urgent first.
LANES = tuple(queue_key(priority) for priority in Priority)

#: Of as many claims, each less urgent lane has one for which it goes first: what a flood of more urgent work
#: leaves it, one in twenty. More would cost urgent work, which fills the rest, more than bulk gains.
CLAIMS_PER_TURN = 20

#: How deep in a lane a claim looks for a message that was chosen: four batches of the largest size that is
#: usual. Redis searches a list from its end, so that one who is not there any more costs as much.
CHOSEN_WITHIN = 256

#: How long a worker that says nothing is taken to be alive, in seconds. Renewed every second, so three
#: renewals may fail before anybody takes its messages; recovery takes no longer than this and a sweep.
LEASE_SECONDS = 4.0

#: How long it is remembered that an engine died of a request, in seconds: a day, as long as its audio waits.
DEATHS_SECONDS = 86_400

#: How long it is remembered which worker has a request that it has not started, in seconds: as long as its
#: audio waits. The batch's start, or its result, takes the place of that.
RECEIVED_SECONDS = 86_400

#: Longest that an answer and a connection may take, in seconds: together well inside the lease.
SOCKET_TIMEOUT = 2.0
CONNECT_TIMEOUT = 1.0


#: Which part of a batch's duration is soon. About half of what a batch of one takes: as much as it costs a
#: request to wait for a worker that comes free, instead of sharing the next batch of one that is.
SOON = 0.25


class LeaseLost(Exception):
    """This worker was taken for dead, and its messages run elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How a claim leaves to workers that are free what they could run."""

    least: int
    """Taken in any case, if it is there: what a batch is waited for. With 0, nothing if anybody is free."""
    busy: float
    """How long a batch will probably keep this worker, in seconds."""

    @property
    def soon(self) -> float:
        """In how many seconds another worker counts as free."""
        return SOON * self.busy


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A message that this worker may run."""

    worker_id: str
    message: bytes = field(repr=False)
    field: str
    """Its place in the worker's in-flight record: ``<claim number>:<lane>``."""

    @property
    def number(self) -> int:
        """Which of the worker's claims it is, counted from 1."""
        return int(self.field.partition(":")[0])

    @property
    def tag(self) -> str:
        """By which it is settled; says under which lease it was claimed."""
        return f"{self.worker_id}/{self.field}"


class Shown(NamedTuple):
    """A message that waits, and on which lane: 1 is the most urgent."""

    lane: int
    message: bytes

    @property
    def is_last(self) -> bool:
        """Whether that is the least urgent lane."""
        return self.lane == len(LANES)


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

    def __init__(self, connection: redis.Redis, *, claims_per_turn: int = CLAIMS_PER_TURN) -> None:
        self._redis = connection
        self._claims_per_turn = claims_per_turn
        self._scripts = {name: script(connection, name) for name in NAMES}
        self._life = _Life()

    @property
    def worker_id(self) -> str:
        """By which Redis knows this worker, until it loses its lease."""
        return self._life.worker_id

    @property
    def undelivered(self) -> deque[Claimed]:
        """Claimed, and not handed to Celery yet; outlives the connection it was claimed on."""
        return self._life.undelivered

    def check_keys(self) -> None:
        """Raise `redis.ResponseError` if somebody else uses a key that all workers share; says which."""
        if which := misused(self._redis):
            raise redis.ResponseError(f"{WRONG_TYPE} {which}")

    def take_lease(self) -> None:
        """Begin a new life: a new id, with nothing in flight."""
        worker_id = uuid4().hex
        self._call("renew", [LEASES], [worker_id, _milliseconds(LEASE_SECONDS), "take"])
        self._life = _Life(worker_id)

    def renew(self) -> None:
        """Say that this worker lives. Raises `LeaseLost`."""
        if not self._call("renew", [LEASES], [self.worker_id, _milliseconds(LEASE_SECONDS), "renew"]):
            raise LeaseLost(f"the lease of worker {self.worker_id} ran out")

    def claim(
        self, count: int, urgent: int = 0, share: Share | None = None, *, chosen: Sequence[bytes] = ()
    ) -> list[Claimed]:
        """Claim up to `count` waiting messages, urgent ones first, and up to `urgent` more of those.

        With a `share`, only this worker's among those that are free, if there is less than a batch for each.
        Those `chosen` of what `look` has shown go before all but the most urgent, as far as they wait there.

        Raises:
            LeaseLost: this worker may not claim any more.
        """
        life = self._life
        shared = (share.least, _milliseconds(share.soon), _milliseconds(share.busy)) if share else ("", 0, 0)
        arguments = [life.worker_id, count, urgent, life.heard_of, self._claims_per_turn]
        answer = self._call(
            "claim",
            [*_own_keys(life.worker_id), *LANES, BUSY],
            [*arguments, *shared, RESULT_KEY_PREFIX, RECEIVED_SECONDS, CHOSEN_WITHIN, *chosen],
        )
        if answer is None:
            raise LeaseLost(f"worker {life.worker_id} may not claim any more")
        claimed = [
            Claimed(worker_id=life.worker_id, field=place.decode(), message=message)
            for place, message in zip(answer[::2], answer[1::2], strict=True)
        ]
        life.heard_of = max((one.number for one in claimed), default=life.heard_of)
        return claimed

    def count_living(self) -> int:
        """How many workers have a lease, this one included."""
        living: Any = self._redis.zcard(LEASES)
        return int(living)

    def look(self, count: int, *, batch: int) -> list[Shown]:
        """Up to `count` messages that this worker will probably claim next, the next first; takes nothing.

        What workers will take that are free before this one, `batch` messages each, is passed over.
        """
        shown = self._call("look", [BUSY, *LANES], [self.worker_id, batch, count])
        return [Shown(*pair) for pair in zip(shown[::2], shown[1::2], strict=True)]

    def start(self, starters: Sequence[starting.Starter], seconds: int) -> list[starting.Verdict]:
        """Say that a batch starts, and hear of each member what it may do.

        At one instant with the look at its result, its cancellation and its deaths. Who runs is on record
        from here on, so that a death is counted, whoever is left to count it. States are kept for
        `seconds`, 0 for ever.

        Raises:
            LeaseLost: all of them run elsewhere.
        """
        answer = self._call("start", *starting.for_script(starters, self.worker_id, seconds))
        if answer is None:
            raise LeaseLost(f"worker {self.worker_id} came too late to start a batch")
        return starting.verdicts(answer)

    def count_deaths(self) -> dict[str, int]:
        """The engine died of the batch that was started last: how often each member has died alone by now.

        Empty if that has been counted already. Raises `LeaseLost`.
        """
        worker_id = self.worker_id
        counted = self._call("died", _own_keys(worker_id), [worker_id, DEATHS_KEY_PREFIX, DEATHS_SECONDS])
        if counted is None:
            raise LeaseLost(f"worker {worker_id} came too late to count the deaths of a batch")
        return {name.decode(): int(deaths) for name, deaths in zip(counted[::2], counted[1::2], strict=True)}

    def settle(self, settlement: Settlement) -> None:
        """Do what a batch has to do, in one step, safe to repeat.

        A batch that was bound while the lease was lost may hold messages of two lives: those of the
        earlier one are somebody else's to acknowledge, and the first result of each stands.

        Raises:
            LeaseLost: nothing was written; all the messages run elsewhere.
        """
        worker_id, late = self.worker_id, f"{len(settlement.results)} results came too late"
        if settlement.tags and not settlement.places(worker_id):
            raise LeaseLost(f"{late}: their messages run elsewhere")
        if not self._call("settle", *settlement.for_script(worker_id)):
            raise LeaseLost(f"{late} from worker {worker_id}")

    def put_back(self, *tags: str) -> None:
        """Return messages to the heads of their lanes, in their order; safe to repeat. Raises `LeaseLost`."""
        self._put(tags, "head")

    def demote(self, tag: str) -> None:
        """Move one message to the end of the least urgent lane; safe to repeat. Raises `LeaseLost`."""
        self._put([tag], "last")

    def bury(self, claimed: Claimed) -> None:
        """Move a message that cannot be understood to the dead list, of which the newest are kept.

        If the lease is lost, this is left to whoever has the message now.
        """
        self.bury_tag(claimed.tag)

    def bury_tag(self, tag: str) -> None:
        """As `bury`, by the tag of the message."""
        worker_id, _, place = tag.partition("/")
        self._call(
            "bury",
            [*_own_keys(worker_id), DEAD_MESSAGES],
            [worker_id, place, DEAD_MESSAGE_BYTES, DEAD_MESSAGES_KEPT, RESULT_KEY_PREFIX],
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
        keys = [*_own_keys(worker_id), RATES, *LANES]
        return int(self._call("give_back", keys, [worker_id, whose, DEATHS_KEY_PREFIX, DEATHS_SECONDS]))

    def _put(self, tags: Sequence[str], where: str) -> None:
        worker_id = self.worker_id
        keys = [*_own_keys(worker_id), *LANES]
        places = [place for tag in tags if (place := place_of(tag, worker_id))]
        if not places or self._call("put_back", keys, [worker_id, where, RESULT_KEY_PREFIX, *places]) < 0:
            raise LeaseLost(f"worker {worker_id} came too late to put {len(tags)} messages back")

    def _call(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        try:
            return self._scripts[name](keys=keys, args=arguments)
        except redis.ResponseError as error:
            if str(error).startswith(WRONG_TYPE):
                self.check_keys()
            raise


def is_of_last_lane(tag: str) -> bool:
    """Whether a message was claimed from the least urgent lane."""
    return tag.endswith(f":{len(LANES)}")


def _own_keys(worker_id: str) -> list[str]:
    return [LEASES, inflight_key(worker_id)]


def connect(redis_url: str) -> redis.Redis:
    """A client for claims; reconnects by itself, and every script may be run twice without harm."""
    return redis_connection.connect(
        redis_url, socket_timeout=SOCKET_TIMEOUT, socket_connect_timeout=CONNECT_TIMEOUT
    )


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
