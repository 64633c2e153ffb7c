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

from batching.pulling import share
from protocol.routing import (
    DEATHS_KEY_PREFIX,
    INFLIGHT_KEY_PREFIX,
    LEASES,
    PAYLOAD_KEY_PREFIX,
    RESULT_KEY_PREFIX,
    payload_key,
    result_key,
)
from tests.integration.cut_connection import CutConnection
from tests.redis_users import as_user
from workers.transport.claims import LANES, Claimed, Claims, LeaseLost, Share
from workers.transport.scripts import NAMES, PRELUDE, text_of
from workers.transport.settlement import Audio, Result, Settlement
from workers.transport.starting import May, Starter, Verdict

WORKERS = st.integers(0, 2)
URGENCIES = st.integers(0, len(LANES) - 1)
COUNTS = st.integers(1, 6)

#: Messages that a worker has chosen: of all that were ever submitted.
CHOICES = st.lists(st.integers(0, 60), max_size=4)

#: How many steps a run of the machine has: enough for a message to be claimed, returned and claimed again
#: by others, more than once.
STEPS = 30

#: Claims in a turn: few, so that every lane's turn comes within a run.
CLAIMS_PER_TURN = 5

SETTINGS = settings(stateful_step_count=STEPS, suppress_health_check=[HealthCheck.too_slow])


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
    running: list[Claimed] = field(default_factory=list)
    """What its engine was given last, by the claims under which it was."""
    claimed: int = 0
    """How many messages it has claimed under this lease."""
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
        self.deaths: dict[str, int] = {}
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

    @rule(who=WORKERS, count=COUNTS, urgent=st.integers(0, 2), shares=st.booleans(), which=CHOICES)
    def claim(self, who: int, count: int, urgent: int, shares: bool, which: Sequence[int]) -> None:
        """A worker claims all, or its share, some that it has chosen first, wherever these are by now; or it
        is told again of what it has not heard of."""
        worker = self.workers[who]
        if not worker.is_lost:
            waiting, free = sum(map(len, self.lanes)), len(self.redis.zrange(LEASES, 0, -1))
            most = share(waiting, free, count) if shares else count
            chosen = [b"m%d" % (number % max(1, len(self.request_of))) for number in which]
            expected = self._untold(worker) or self._take(worker, most, urgent, chosen)
            leaves = Share(least=1, busy=0.0) if shares else None
            claimed = worker.claims.claim(count, urgent, leaves, chosen=chosen)
            assert [one.message for one in claimed] == expected
            worker.told |= {one.message: one for one in claimed}

    @precondition(lambda self: any(self.lanes))
    @rule(who=WORKERS, count=COUNTS)
    def claim_unheard(self, who: int, count: int) -> None:
        """A worker claims, and the answer is lost on the way."""
        worker = self.workers[who]
        if not worker.is_lost:
            _ = self._untold(worker) or self._take(worker, count, 0)
            with worker.connection.cut_after(1):
                assert is_refused(redis.ConnectionError, partial(worker.claims.claim, count))

    @precondition(lambda self: self._busy())
    @rule(who=WORKERS)
    def start_batch(self, who: int) -> None:
        """A worker asks who of its batch may run: nobody who is finished, and in company nobody who died."""
        worker = pick(self._busy(), who)
        names = [self.request_of[message] for message in worker.told]
        starters = [
            Starter(tag=one.tag, request_id=name, state='{"status": "STARTED"}')
            for name, one in zip(names, worker.told.values(), strict=True)
        ]
        verdicts = worker.claims.start(starters, 600)
        assert verdicts == [self._verdict(name, alone=len(names) == 1) for name in names]
        ran = [one.may is May.RUN for one in verdicts]
        worker.running = [one for one, runs in zip(worker.told.values(), ran, strict=True) if runs]

    @precondition(lambda self: self._busy())
    @rule(who=WORKERS)
    def lose_the_engine(self, who: int) -> None:
        """The engine dies under its worker, of what it ran."""
        worker = pick(self._busy(), who)
        died = self._die_of(worker)
        assert worker.claims.count_deaths() == {name: self.deaths[name] for name in died}

    @precondition(lambda self: self._busy())
    @rule(who=WORKERS)
    def demote(self, who: int) -> None:
        """A worker puts one message behind all others."""
        worker = pick(self._busy(), who)
        message, claimed = next(iter(worker.told.items()))
        worker.claims.demote(claimed.tag)
        del worker.told[message]
        worker.held = [one for one in worker.held if one[0] != message]
        self.lanes[-1].append(message)

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
        self.claim(who, count, 0, shares=False, which=())
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
    @rule(who=WORKERS, which=st.integers(0, 3), count=st.integers(1, 3))
    def put_back(self, who: int, which: int, count: int) -> None:
        """A worker returns some messages, named in any order."""
        worker = pick(self._busy(), who)
        first = which % len(worker.told)
        chosen = sorted(worker.told.items(), key=lambda one: one[1].number)[first : first + count]
        worker.claims.put_back(*(claimed.tag for _, claimed in sorted(chosen)))
        for message, _ in reversed(chosen):
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
            worker.running, worker.claimed = [], 0
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
            self._die_of(dead)
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
        """Lanes and records hold the same messages in the same order, the same workers have leases, and
        deaths are counted for those who ran, and no others."""
        assert self.seen.deaths == self.deaths
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

    def _take(self, worker: Worker, count: int, urgent: int, chosen: Sequence[bytes] = ()) -> list[bytes]:
        taken = []
        for number in range(count + urgent):
            turn = max(0, worker.claimed % CLAIMS_PER_TURN - (CLAIMS_PER_TURN - len(LANES)))
            turn = turn if any(self.lanes[:turn]) else 0
            order = [*self._fronts(turn, 0), *self._wait(chosen), *self._fronts(*range(len(LANES)))]
            one = next(iter(order if number < count else self._fronts(0)), None)
            if one is not None:
                taken.append(one)
                self.lanes[one[1]].remove(one[0])
                worker.claimed += 1
        worker.held += taken
        return [message for message, _ in taken]

    def _fronts(self, *lanes: int) -> list[tuple[bytes, int]]:
        """What is claimed next of each of these lanes, with its lane."""
        return [(self.lanes[lane][0], lane) for lane in lanes if self.lanes[lane]]

    def _wait(self, messages: Sequence[bytes]) -> list[tuple[bytes, int]]:
        """Those of the messages that wait on a lane, with that lane."""
        return [(one, place) for one in messages for place, lane in enumerate(self.lanes) if one in lane]

    def _verdict(self, name: str, *, alone: bool) -> Verdict:
        if name in self.results:
            return Verdict(may=May.NOT_AGAIN)
        may = May.RUN if alone or name not in self.deaths else May.RUN_ALONE
        return Verdict(may=may, deaths_alone=self.deaths.get(name, 0))

    def _die_of(self, worker: Worker) -> list[str]:
        """The engine of `worker` dies: of what it was given last, if that is neither settled nor put away."""
        held = {message for message, _ in worker.held}
        runs = [one for one in worker.running if one.message in held and worker.told.get(one.message) == one]
        died = [self.request_of[one.message] for one in runs]
        for name in died:
            self.deaths[name] = self.deaths.get(name, 0) + (len(worker.running) == 1)
        worker.running = []
        return died

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
    deaths: dict[str, int]


def look(client: redis.Redis) -> Seen:
    """Read all of it, in two round trips."""
    with client.pipeline() as pipe:
        for lane in LANES:
            pipe.lrange(lane, 0, -1)
        pipe.zrange(LEASES, 0, -1)
        pipe.keys("*")
        *lanes, leases, keys = pipe.execute()
        names: list[str] = sorted(key.decode() for key in keys)
        records = [name for name in names if name.startswith(INFLIGHT_KEY_PREFIX)]
        results = [name for name in names if name.startswith(RESULT_KEY_PREFIX)]
        for name in records:
            pipe.hgetall(name)
        deaths = [name for name in names if name.startswith(DEATHS_KEY_PREFIX)]
        pipe.mget([*results, "none"])
        pipe.mget([*deaths, "none"])
        *held, values, counts = pipe.execute()
    in_order = [
        [stored[place] for place in sorted(stored.keys() - {b"#", b"running"}, key=claim_number)]
        for stored in held
    ]
    return Seen(
        lanes=[lane[::-1] for lane in lanes],
        records={
            name.removeprefix(INFLIGHT_KEY_PREFIX): messages
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
        deaths={
            name.removeprefix(DEATHS_KEY_PREFIX): int(count)
            for name, count in zip(deaths, counts, strict=False)
        },
    )


def claim_number(place: bytes) -> int:
    return int(place.partition(b":")[0])


def settle(worker: Worker, results: Sequence[Result], batch: Sequence[Claimed]) -> None:
    audios = [Audio(request_id=one.message.decode(), priority_number=0) for one in batch]
    worker.claims.settle(Settlement(results=list(results), tags=[one.tag for one in batch], audios=audios))


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
    return type(
        "Deliveries", (Deliveries,), {"url": as_user(url, "admin"), "make_claims": staticmethod(make)}
    )


@pytest.fixture
def endless_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease ends when the model says so, and not because a run takes longer than one on a busy machine."""
    monkeypatch.setattr("workers.transport.claims.LEASE_SECONDS", 3_600.0)


@pytest.mark.timeout(900)  # takes a minute, and many on a busy machine
@pytest.mark.usefixtures("endless_leases")
def test_nothing_is_lost_or_doubled(redis_url: str, redis_client: redis.Redis) -> None:
    """In any order of work, crashes, lost answers and late comers, Redis holds what the model says."""
    run_state_machine_as_test(
        machine(redis_url, make_claims),
        settings=SETTINGS,
    )


def make_claims(connection: redis.Redis) -> Claims:
    """A worker whose turns are short enough to come round within a run."""
    return Claims(connection, claims_per_turn=CLAIMS_PER_TURN)


LEASE_CHECK = "if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return {} end"

#: Bugs that such scripts have had elsewhere, or that we might have written: script, what stands there,
#: and what the bug makes of it.
PLANTED = {
    "pops without recording": ("claim", "redis.call('HSET', KEYS[2], field, message)", ""),
    "does not tell lost claims again": ("claim", "HGET', KEYS[2], '#') or 0", "HGET', KEYS[2], '') or 0"),
    "claims more while it tells again": ("claim", "if #claimed > 0 then return claimed end", ""),
    "claims without a lease": ("claim", LEASE_CHECK.format("false"), ""),
    "claims the newest": ("claim", "'RPOP', KEYS[2 + lane]", "'LPOP', KEYS[2 + lane]"),
    "claims bulk first": ("claim", "'RPOP', KEYS[2 + lane]", "'RPOP', KEYS[#KEYS - lane]"),
    "keeps the chosen on its lane": ("claim", "redis.call('LREM', KEYS[2 + lane], -1, ARGV[chosen])", ""),
    "claims a chosen one that is gone": (
        "claim",
        "'RANK', -1, 'MAXLEN', ARGV[11]) then",
        "'RANK', -1) or true then",
    ),
    "claims the chosen last": ("claim", "taken == 0 and lane == 1", "taken == 0 and lane == lanes"),
    "leaves bulk nothing": ("claim", "if place > last and is_overtaken", "if false and is_overtaken"),
    "counts no deaths": ("prelude", "redis.call('INCR', prefix .. id)", ""),
    "counts deaths in company as alone": ("prelude", "spaces == 1", "spaces > 0"),
    "counts deaths of the settled": ("prelude", "redis.call('HEXISTS', record, field) == 1", "true"),
    "counts a death twice": ("prelude", "redis.call('HDEL', record, 'running')", ""),
    "lets the suspect run in company": ("start", "members == 1 or verdicts[i] == ''", "true"),
    "starts the finished": ("start", "if final(result) then", "if false then"),
    "demotes to the head": ("put_back", "redis.call('LPUSH', KEYS[#KEYS]", "redis.call('RPUSH', KEYS[#KEYS]"),
    "settles without a lease": ("settle", LEASE_CHECK.format("0"), ""),
    "lets the last result win": ("prelude", "status == 'SUCCESS'", "false"),
    "takes a start for a result": ("prelude", "status == 'FAILURE'", "status == 'STARTED'"),
    "does not acknowledge": ("settle", "redis.call('HDEL', KEYS[2], ARGV[i])", ""),
    "keeps the audio": ("prelude", "redis.call('UNLINK', audio)", ""),
    "acknowledges the wrong message": ("settle", "for i = arg + 1, #ARGV", "for i = arg + 2, #ARGV"),
    "gives back in the wrong order": ("give_back", "a[1] > b[1]", "a[1] < b[1]"),
    "gives back to the tail": ("give_back", "'RPUSH', KEYS[3 + message", "'LPUSH', KEYS[3 + message"),
    "gives back to one lane": ("give_back", "KEYS[3 + message[2]]", "KEYS[4]"),
    "keeps the record when it gives back": ("give_back", "redis.call('DEL', KEYS[2])", ""),
    "keeps the lease when it gives back": ("give_back", "redis.call('ZREM', KEYS[1], ARGV[1])", ""),
    "sweeps the living": ("give_back", "if tonumber(lease) > ", "if false and 0 > "),
    "keeps in the record what it puts back": ("put_back", "redis.call('HDEL', KEYS[2], field)", ""),
    "puts back without a lease": ("put_back", LEASE_CHECK.format("-1"), ""),
    "renews a lost lease": ("renew", "return 0", ""),
}


class PopsThenRecords(Claims):
    """As kombu's own transport: one step takes a message, the next records it."""

    def claim(
        self, count: int, urgent: int = 0, share: Share | None = None, *, chosen: Sequence[bytes] = ()
    ) -> list[Claimed]:
        """Claim, with a moment in which a message is nowhere."""
        for lane in LANES:
            message = self._redis.register_script("return redis.call('RPOP', KEYS[1])")(keys=[lane])
            if message:
                self._redis.rpush(lane, message)
                break
        return super().claim(count, urgent, share, chosen=chosen)


class AcknowledgesFirst(Claims):
    """As Celery without late acknowledgement."""

    def settle(self, settlement: Settlement) -> None:
        """Settle, with a moment in which a request has neither message nor result."""
        super().settle(Settlement(tags=settlement.tags, audios=settlement.audios))
        super().settle(Settlement(results=settlement.results))


def planted(script: str, right: str, wrong: str) -> Callable[[redis.Redis], Claims]:
    """Makes workers with `wrong` in the place of `right` in one script, where it stands once."""
    texts = {name: text_of(name) for name in NAMES}
    assert {text.count(right) for name, text in texts.items() if script in (name, PRELUDE)} == {1}

    def make(connection: redis.Redis) -> Claims:
        claims = make_claims(connection)
        for name, text in texts.items():
            if script in (name, PRELUDE):
                claims._scripts[name] = connection.register_script(text.replace(right, wrong))
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


#: Bugs that show only after several crashes of one request, or late comers, in a row: found in half a minute
#: to two. `test_claims.py` and `test_poison.py` have those cases by name.
RARE = {
    "counts no deaths",
    "counts a death twice",
    "counts deaths in company as alone",
    "counts deaths of the settled",
    "lets the suspect run in company",
    "puts back without a lease",
    "settles without a lease",
}


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=[pytest.mark.soak] if bug in RARE else []) for bug in PLANTED]
)
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("endless_leases")
def test_planted_bug_is_noticed(redis_url: str, redis_client: redis.Redis, bug: str) -> None:
    """A script with one mistake in it does not pass."""
    assert is_noticed(redis_url, planted(*PLANTED[bug]))


@pytest.mark.parametrize("bug", [PopsThenRecords, AcknowledgesFirst])
def test_two_steps_in_the_place_of_one_are_noticed(
    redis_url: str, redis_client: redis.Redis, bug: type[Claims]
) -> None:
    """A connection that breaks between two steps shows that they should be one."""
    assert is_noticed(redis_url, bug)
