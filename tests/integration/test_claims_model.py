"""Promise: whatever workers do and suffer, every message is in one place and every request has one result.

A state machine drives three workers over the real scripts in a real Redis, with a model in Python beside
it, and compares the two after each step. Bugs planted in the scripts show that it would notice.
`pytest --hypothesis-profile` with more examples makes it look further.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from protocol.routing import PAYLOAD_KEY_PREFIX, RESULT_KEY_PREFIX, payload_key, result_key
from tests.integration.cut_connection import CutConnection
from workers.transport import claims as claims_module
from workers.transport.claims import INFLIGHT_PREFIX, LANES, LEASES, Claimed, Claims, LeaseLost, Result

WORKERS = st.integers(0, 2)
URGENCIES = st.integers(0, len(LANES) - 1)
COUNTS = st.integers(1, 6)

#: How many steps a run of the machine has: enough for a message to be claimed, returned and claimed again
#: by others, more than once.
STEPS = 30

SETTINGS = settings(stateful_step_count=STEPS, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(slots=True)
class Worker:
    """One worker, and what the model knows of it."""

    claims: Claims
    connection: CutConnection
    held: list[tuple[bytes, int]] = field(default_factory=list)
    """Message and lane of what its record in Redis holds, in the order of its claims."""
    told: dict[bytes, Claimed] = field(default_factory=dict)
    """What it believes to have: it may have missed an answer, and that it was taken for dead."""
    past: list[Claimed] = field(default_factory=list)
    """What it believed before it lost its lease and started anew."""
    is_overdue: bool = False
    is_lost: bool = False


class Deliveries(RuleBasedStateMachine):
    """Every message that was submitted is in exactly one lane or one living record, until it is settled."""

    url: ClassVar[str]
    make_claims: ClassVar[Callable[[redis.Redis], Claims]]

    @initialize()
    def start(self) -> None:
        self.redis = redis.Redis.from_url(self.url)
        self.redis.flushall()
        self.lanes: list[list[bytes]] = [[] for _ in LANES]  # what is claimed next comes first
        self.request_of: dict[bytes, str] = {}
        self.results: dict[str, bytes] = {}
        self.settled: set[bytes] = set()
        self.values = 0
        self.workers = [self._start_worker() for _ in range(3)]

    def teardown(self) -> None:
        for worker in self.workers:
            worker.connection.close()
        self.redis.close()

    @rule(urgency=URGENCIES, count=COUNTS)
    def submit(self, urgency: int, count: int) -> None:
        """Producers enqueue; every id is submitted twice sooner or later."""
        for number in range(first := len(self.request_of), first + count):
            message = b"m%d" % number
            self.request_of[message] = f"r{number // 2}"
            self.lanes[urgency].append(message)
            self.redis.set(payload_key(message.decode()), "audio")
            self.redis.lpush(LANES[urgency], message)

    @rule(who=WORKERS, count=COUNTS)
    def claim(self, who: int, count: int) -> None:
        """A worker claims, or is told again of what it has not heard of."""
        worker = self.workers[who]
        if not worker.is_lost:
            expected = self._untold(worker) or self._take(worker, count)
            claimed = worker.claims.claim(count)
            assert [one.message for one in claimed] == expected
            worker.told |= {one.message: one for one in claimed}

    @precondition(lambda self: any(self.lanes))
    @rule(who=WORKERS, count=COUNTS)
    def claim_unheard(self, who: int, count: int) -> None:
        """A worker claims, and the answer is lost on the way."""
        worker = self.workers[who]
        if not worker.is_lost:
            _ = self._untold(worker) or self._take(worker, count)
            with worker.connection.cut_after(1):
                assert is_refused(redis.ConnectionError, partial(worker.claims.claim, count))

    @precondition(lambda self: self._busy())
    @rule(who=WORKERS)
    def start_batch(self, who: int) -> None:
        """A worker marks what it has as started, which is no result."""
        for message in pick(self._busy(), who).told:
            self.redis.set(result_key(self.request_of[message]), '{"status": "STARTED"}', nx=True)

    @precondition(lambda self: self._busy())
    @rule(who=WORKERS, skip=st.integers(0, 2), count=COUNTS)
    def settle(self, who: int, skip: int, count: int) -> None:
        """A worker has run a batch."""
        worker = pick(self._busy(), who)
        batch = list(worker.told.values())[skip : skip + count]
        results = [self._result(one.message) for one in batch]
        settle(worker, results, batch)
        self._has_settled(worker, batch, results)

    @precondition(lambda self: self._busy())
    @rule(who=WORKERS)
    def settle_unheard(self, who: int) -> None:
        """A worker has run a batch, and Redis's answer is lost on the way."""
        worker = pick(self._busy(), who)
        batch = list(worker.told.values())
        results = [self._result(one.message) for one in batch]
        with worker.connection.cut_after(1):
            assert is_refused(redis.ConnectionError, partial(settle, worker, results, batch))
        self._has_settled(worker, batch, results)

    @precondition(lambda self: any(self.lanes))
    @rule(who=WORKERS, count=COUNTS)
    def work(self, who: int, count: int) -> None:
        """Nothing goes wrong: a worker claims, runs and settles."""
        self.claim(who, count)
        if self._busy():
            self.start_batch(who)
            self.settle(who, 0, count)

    @precondition(lambda self: self._busy())
    @rule(who=WORKERS)
    def lose_the_results(self, who: int) -> None:
        """A worker has run a batch, and the connection breaks before Redis has heard of it."""
        worker = pick(self._busy(), who)
        batch = list(worker.told.values())
        results = [self._result(one.message) for one in batch]
        with worker.connection.cut_after(0):
            assert is_refused(redis.ConnectionError, partial(settle, worker, results, batch))

    @precondition(lambda self: any(worker.is_lost or worker.past for worker in self.workers))
    @rule()
    def come_late(self) -> None:
        """Workers that were taken for dead, whether they know it or not, do as if they were not."""
        for worker in self.workers:
            claims = worker.claims
            late = [*worker.past, *(worker.told.values() if worker.is_lost else ())]
            for one in late:
                results = [self._result(one.message)]
                assert is_refused(LeaseLost, partial(settle, worker, results, [one]))
                assert is_refused(LeaseLost, partial(claims.put_back, one.tag))
            worker.past.clear()
            if worker.is_lost:
                assert is_refused(LeaseLost, partial(claims.claim, 1))
                self.renew(self.workers.index(worker))

    @precondition(lambda self: self._busy())
    @rule(who=WORKERS, which=st.integers(0, 3))
    def put_back(self, who: int, which: int) -> None:
        """A worker returns one message."""
        worker = pick(self._busy(), who)
        message, claimed = list(worker.told.items())[which % len(worker.told)]
        worker.claims.put_back(claimed.tag)
        del worker.told[message]
        (lane,) = (lane for held, lane in worker.held if held == message)
        worker.held.remove((message, lane))
        self.lanes[lane].insert(0, message)

    @rule(who=WORKERS)
    def stop(self, who: int) -> None:
        """A worker gives everything back and ends; another starts in its place."""
        worker = self.workers[who]
        assert worker.claims.give_back() == len(worker.held)
        self._return(worker)
        worker.connection.close()
        self.workers[who] = self._start_worker()

    @rule(who=WORKERS)
    def fall_silent(self, who: int) -> None:
        """A worker does not renew its lease in time."""
        self.redis.zadd(LEASES, {self.workers[who].claims.worker_id: 1}, xx=True)
        self.workers[who].is_overdue = True

    @rule(who=WORKERS, finder=WORKERS)
    def die(self, who: int, finder: int) -> None:
        """A worker falls silent, and another finds it so."""
        self.fall_silent(who)
        self.sweep(finder)

    @rule(who=WORKERS)
    def renew(self, who: int) -> None:
        """A worker renews its lease, and starts anew if it is lost."""
        worker = self.workers[who]
        if worker.is_lost:
            assert is_refused(LeaseLost, worker.claims.renew)
            worker.claims.take_lease()
            worker.past += worker.told.values()
            worker.told.clear()
        else:
            worker.claims.renew()
        worker.is_overdue = worker.is_lost = False

    @precondition(lambda self: any(worker.is_overdue for worker in self.workers))
    @rule(who=WORKERS)
    def sweep(self, who: int) -> None:
        """A worker returns the messages of the others that are overdue, one after the other."""
        sweeper = self.workers[who]
        others = [one for one in self.workers if one.is_overdue and not one.is_lost and one is not sweeper]
        assert sweeper.claims.return_dead() == sum(len(one.held) for one in others)
        for dead in sorted(others, key=lambda one: one.claims.worker_id):
            self._return(dead)

    @rule(who=WORKERS, other=WORKERS)
    def sweep_late(self, who: int, other: int) -> None:
        """A sweeper comes to a worker that it saw overdue, and that has renewed its lease since."""
        living = self.workers[other]
        if not living.is_overdue and not living.is_lost:
            assert self.workers[who].claims._return(living.claims.worker_id, "dead") == -1

    @invariant()
    def every_message_is_in_one_place(self) -> None:
        """Asked of Redis alone: in one lane or one record, with its audio; or settled, with neither."""
        self.seen = seen = look(self.redis)
        places = Counter(message for lane in seen.lanes for message in lane)
        for record in seen.records.values():
            places.update(record)
        assert places == Counter(self.request_of.keys() - self.settled)
        assert seen.audio == {payload_key(message.decode()) for message in places}

    @invariant()
    def redis_is_as_the_model(self) -> None:
        """Lanes and records hold the same messages in the same order, and the same workers have leases."""
        assert self.seen.lanes == self.lanes
        held = {one.claims.worker_id: [message for message, _ in one.held] for one in self.workers}
        assert self.seen.records == {name: messages for name, messages in held.items() if messages}
        assert self.seen.leases == {one.claims.worker_id for one in self.workers if not one.is_lost}

    @invariant()
    def first_results_stay(self) -> None:
        """Every request that was settled has its first result, and no other request has any."""
        assert self.seen.results == self.results

    def _start_worker(self) -> Worker:
        connection = CutConnection.from_url(self.url)
        assert isinstance(connection, CutConnection)
        claims = type(self).make_claims(connection)
        claims.take_lease()
        return Worker(claims=claims, connection=connection)

    def _busy(self) -> list[Worker]:
        """The workers that have been told of messages, and have not lost them."""
        return [worker for worker in self.workers if worker.told and not worker.is_lost]

    def _untold(self, worker: Worker) -> list[bytes]:
        return [message for message, _ in worker.held if message not in worker.told]

    def _take(self, worker: Worker, count: int) -> list[bytes]:
        waiting = [(message, lane) for lane, messages in enumerate(self.lanes) for message in messages]
        taken = waiting[:count]
        for message, lane in taken:
            self.lanes[lane].remove(message)
        worker.held += taken
        return [message for message, _ in taken]

    def _result(self, message: bytes) -> Result:
        self.values += 1
        value = json.dumps({"status": "SUCCESS", "result": self.values})
        return Result(key=result_key(self.request_of[message]), value=value, ttl=600)

    def _has_settled(self, worker: Worker, batch: Sequence[Claimed], results: Sequence[Result]) -> None:
        for claimed, result in zip(batch, results, strict=True):
            self.results.setdefault(self.request_of[claimed.message], str(result.value).encode())
            self.settled.add(claimed.message)
            del worker.told[claimed.message]
        worker.held = [one for one in worker.held if one[0] not in self.settled]

    def _return(self, worker: Worker) -> None:
        for message, lane in reversed(worker.held):
            self.lanes[lane].insert(0, message)
        worker.held.clear()
        worker.is_lost = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What Redis holds."""

    lanes: list[list[bytes]]
    """Messages, the next to be claimed first."""
    records: dict[str, list[bytes]]
    """Messages by worker, in the order of their claims; without empty records."""
    leases: set[str]
    audio: set[str]
    results: dict[str, bytes]
    """Final ones, by request."""


def look(client: redis.Redis) -> Seen:
    """Read all of it, in two round trips."""
    with client.pipeline() as pipe:
        for lane in LANES:
            pipe.lrange(lane, 0, -1)
        pipe.zrange(LEASES, 0, -1)
        pipe.keys("*")
        *lanes, leases, keys = pipe.execute()
        names: list[str] = sorted(key.decode() for key in keys)
        records = [name for name in names if name.startswith(INFLIGHT_PREFIX)]
        results = [name for name in names if name.startswith(RESULT_KEY_PREFIX)]
        for name in records:
            pipe.hgetall(name)
        pipe.mget([*results, "none"])
        *held, values = pipe.execute()
    in_order = [
        [stored[place] for place in sorted(stored.keys() - {b"#"}, key=claim_number)] for stored in held
    ]
    return Seen(
        lanes=[lane[::-1] for lane in lanes],
        records={
            name.removeprefix(INFLIGHT_PREFIX): messages
            for name, messages in zip(records, in_order, strict=True)
            if messages
        },
        leases={worker_id.decode() for worker_id in leases},
        audio={name for name in names if name.startswith(PAYLOAD_KEY_PREFIX)},
        results={
            name.removeprefix(RESULT_KEY_PREFIX): value
            for name, value in zip(results, values, strict=False)
            if b"STARTED" not in value
        },
    )


def claim_number(place: bytes) -> int:
    return int(place.partition(b":")[0])


def settle(worker: Worker, results: Sequence[Result], batch: Sequence[Claimed]) -> None:
    audio = [payload_key(one.message.decode()) for one in batch]
    worker.claims.settle(results, [one.tag for one in batch], audio)


def pick(workers: Sequence[Worker], which: int) -> Worker:
    return workers[which % len(workers)]


def is_refused(error: type[Exception], call: Callable[[], Any]) -> bool:
    """Whether `call` raises this error."""
    try:
        call()
    except error:
        return True
    return False


def machine(url: str, make: Callable[[redis.Redis], Claims]) -> type[Deliveries]:
    """The state machine on this Redis, with workers made by `make`."""
    return type("Deliveries", (Deliveries,), {"url": url, "make_claims": staticmethod(make)})


def test_nothing_is_lost_or_doubled(redis_url: str, redis_client: redis.Redis) -> None:
    """In any order of work, crashes, lost answers and late comers, Redis holds what the model says."""
    run_state_machine_as_test(
        machine(redis_url, Claims),
        settings=SETTINGS,
    )


LEASE_CHECK = "if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return {} end"

#: Bugs that such scripts have had elsewhere, or that we might have written: script, what stands there,
#: and what the bug makes of it.
PLANTED = {
    "pops without recording": ("claim", "redis.call('HSET', KEYS[2], field, message)", ""),
    "does not tell lost claims again": ("claim", "HGET', KEYS[2], '#') or 0", "HGET', KEYS[2], '') or 0"),
    "claims more while it tells again": ("claim", "if #claimed > 0 then return claimed end", ""),
    "claims without a lease": ("claim", LEASE_CHECK.format("false"), ""),
    "claims the newest": ("claim", "'RPOP'", "'LPOP'"),
    "claims bulk first": ("claim", "'RPOP', KEYS[2 + lane]", "'RPOP', KEYS[#KEYS + 1 - lane]"),
    "settles without a lease": ("settle", LEASE_CHECK.format("0"), ""),
    "lets the last result win": ("settle", "status == 'SUCCESS'", "false"),
    "takes a start for a result": ("settle", "status == 'FAILURE'", "status == 'STARTED'"),
    "does not acknowledge": ("settle", "redis.call('HDEL', KEYS[2], ARGV[i])", ""),
    "keeps the audio": ("settle", "redis.call('UNLINK', KEYS[i])", ""),
    "acknowledges the wrong message": (
        "settle",
        "for i = 3 + 2 * results, #ARGV",
        "for i = 4 + 2 * results, #ARGV",
    ),
    "gives back in the wrong order": ("give_back", "a[1] > b[1]", "a[1] < b[1]"),
    "gives back to the tail": ("give_back", "'RPUSH'", "'LPUSH'"),
    "gives back to one lane": ("give_back", "KEYS[2 + message[2]]", "KEYS[3]"),
    "keeps the record when it gives back": ("give_back", "redis.call('DEL', KEYS[2])", ""),
    "keeps the lease when it gives back": ("give_back", "redis.call('ZREM', KEYS[1], ARGV[1])", ""),
    "sweeps the living": ("give_back", "if tonumber(lease) > ", "if false and 0 > "),
    "keeps in the record what it puts back": ("put_back", "redis.call('HDEL', KEYS[2], ARGV[2])", ""),
    "puts back without a lease": ("put_back", LEASE_CHECK.format("-1"), ""),
    "renews a lost lease": ("renew", "return 0", ""),
}


class PopsThenRecords(Claims):
    """As kombu's own transport: one step takes a message, the next records it."""

    def claim(self, count: int) -> list[Claimed]:
        """Claim, with a moment in which a message is nowhere."""
        for lane in LANES:
            message = self._redis.register_script("return redis.call('RPOP', KEYS[1])")(keys=[lane])
            if message:
                self._redis.rpush(lane, message)
                break
        return super().claim(count)


class AcknowledgesFirst(Claims):
    """As Celery without late acknowledgement."""

    def settle(
        self, results: Sequence[Result], tags: Sequence[str], payload_keys: Sequence[str] = ()
    ) -> None:
        """Settle, with a moment in which a request has neither message nor result."""
        super().settle([], tags, payload_keys)
        super().settle(results, [])


def planted(script: str, right: str, wrong: str) -> Callable[[redis.Redis], Claims]:
    """Makes workers with `wrong` in the place of `right` in one script, where it stands once."""
    text = (Path(claims_module.__file__).parent / f"{script}.lua").read_text(encoding="utf-8")
    assert text.count(right) == 1

    def make(connection: redis.Redis) -> Claims:
        claims = Claims(connection)
        setattr(claims, f"_{script}", connection.register_script(text.replace(right, wrong)))
        return claims

    return make


def is_noticed(url: str, make: Callable[[redis.Redis], Claims]) -> bool:
    """Whether the state machine fails with workers made by `make`."""
    try:
        run_state_machine_as_test(
            machine(url, make),
            settings=settings(
                SETTINGS, max_examples=500, phases=[Phase.generate], derandomize=True, database=None
            ),
        )
    except (AssertionError, LeaseLost):
        return True
    return False


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bug_is_noticed(redis_url: str, redis_client: redis.Redis, bug: str) -> None:
    """A script with one mistake in it does not pass."""
    assert is_noticed(redis_url, planted(*PLANTED[bug]))


@pytest.mark.parametrize("bug", [PopsThenRecords, AcknowledgesFirst])
def test_two_steps_in_the_place_of_one_are_noticed(
    redis_url: str, redis_client: redis.Redis, bug: type[Claims]
) -> None:
    """A connection that breaks between two steps shows that they should be one."""
    assert is_noticed(redis_url, bug)
