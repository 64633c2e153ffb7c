"""Promise: a message is claimed, settled and returned in one step each, by whoever has the lease for it."""

from __future__ import annotations

import ast
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.cut_connection import CutConnection
from workers.transport import claims as claims_module
from workers.transport.claims import (
    DEAD_MESSAGE_BYTES,
    DEAD_MESSAGES,
    DEAD_MESSAGES_KEPT,
    LANES,
    LEASE_SECONDS,
    LEASES,
    Claimed,
    Claims,
    LeaseLost,
    Result,
    inflight_key,
)

TRANSPORT = Path(claims_module.__file__).parent
SCRIPTS = sorted(TRANSPORT.glob("*.lua"))

URGENT, NORMAL, BULK = LANES

#: How long a publication may take to arrive before it counts as not sent, in seconds.
TOLD_SECONDS = 5.0

MakeWorker = Callable[[], Claims]


@pytest.fixture
def connection(redis_url: str, redis_client: redis.Redis) -> Iterator[CutConnection]:
    """The connection of the workers under test, for cutting."""
    with CutConnection.from_url(redis_url) as made:
        yield made


@pytest.fixture
def make_worker(connection: CutConnection) -> MakeWorker:
    """Workers with a lease each."""

    def make() -> Claims:
        claims = Claims(connection)
        claims.take_lease()
        return claims

    return make


@pytest.fixture
def worker(make_worker: MakeWorker) -> Claims:
    """One worker with a lease."""
    return make_worker()


def push(client: redis.Redis, lane: str, *messages: str) -> None:
    """Enqueue as a producer does."""
    client.lpush(lane, *messages)


def texts(claimed: list[Claimed]) -> list[str]:
    return [one.message.decode() for one in claimed]


def run_out(client: redis.Redis, claims: Claims) -> None:
    """Let the lease of a worker run out."""
    client.zadd(LEASES, {claims.worker_id: 1}, xx=True)


def meta(status: str, text: str = "") -> str:
    """What Celery stores under a request's result key."""
    return json.dumps({"status": status, "result": text})


def everything(client: redis.Redis) -> dict[Any, Any]:
    """All that Redis holds, to see that nothing was written."""
    return {key: client.dump(key) for key in client.scan_iter(count=1_000)}


@contextmanager
def listening(client: redis.Redis, *channels: str) -> Iterator[Callable[[], str]]:
    """Subscribed to these channels; gives what returns the next thing said there."""
    make: Any = client.pubsub
    with make() as subscriber:
        subscriber.subscribe(*channels)
        for _ in channels:
            assert subscriber.get_message(timeout=TOLD_SECONDS)["type"] == "subscribe"
        yield lambda: str(subscriber.get_message(timeout=TOLD_SECONDS)["data"].decode())


# Claim.


def test_urgent_lane_goes_first(worker: Claims, redis_client: redis.Redis) -> None:
    """A claim takes urgent messages before normal ones, and those before bulk, whatever came first."""
    push(redis_client, BULK, "b")
    push(redis_client, NORMAL, "n1", "n2")
    push(redis_client, URGENT, "u")
    assert texts(worker.claim(3)) == ["u", "n1", "n2"]
    assert texts(worker.claim(3)) == ["b"]


def test_oldest_goes_first_inside_a_lane(worker: Claims, redis_client: redis.Redis) -> None:
    """What was enqueued first is claimed first."""
    push(redis_client, NORMAL, *"abcdef")
    assert "".join(texts(worker.claim(4)) + texts(worker.claim(4))) == "abcdef"


def test_claim_takes_no_more_than_asked(worker: Claims, redis_client: redis.Redis) -> None:
    """What a worker does not ask for stays for the others."""
    push(redis_client, NORMAL, *"abc")
    assert texts(worker.claim(2)) == ["a", "b"]
    assert redis_client.lrange(NORMAL, 0, -1) == [b"c"]


def test_claim_is_recorded_in_the_same_step(
    worker: Claims, connection: CutConnection, redis_client: redis.Redis
) -> None:
    """A worker that dies with the answer on the way leaves its messages in its record, not in nowhere."""
    push(redis_client, URGENT, "u")
    push(redis_client, BULK, "b")
    with connection.cut_after(1), pytest.raises(redis.ConnectionError):
        worker.claim(2)
    assert redis_client.hgetall(inflight_key(worker.worker_id)) == {b"#": b"2", b"1:1": b"u", b"2:3": b"b"}
    assert not redis_client.exists(*LANES)


def test_claim_whose_answer_was_lost_is_told_again(
    worker: Claims, connection: CutConnection, redis_client: redis.Redis
) -> None:
    """After a lost answer the next one tells the same messages, in order, and nothing new with them."""
    push(redis_client, NORMAL, *"abcde")
    heard = worker.claim(1)
    with connection.cut_after(1), pytest.raises(redis.ConnectionError):
        worker.claim(2)
    again = worker.claim(4)
    assert (texts(heard), texts(again), texts(worker.claim(4))) == (["a"], ["b", "c"], ["d", "e"])
    worker.settle([], [one.tag for one in again])
    assert set(redis_client.hvals(inflight_key(worker.worker_id))) == {b"5", b"a", b"d", b"e"}


# Settle.


def test_settlement_is_one_step(worker: Claims, connection: CutConnection, redis_client: redis.Redis) -> None:
    """One call stores the results, tells whoever waits, removes messages and audio, and nothing else."""
    push(redis_client, NORMAL, *"abc")
    redis_client.mset({"audio-a": "1", "audio-b": "2", "audio-c": "3"})
    one, other, _ = worker.claim(3)
    with listening(redis_client, "result-a", "result-b") as told:
        results = [
            Result(key=f"result-{name}", value=meta("SUCCESS", name), ttl=60 + at)
            for at, name in enumerate("ab")
        ]
        with connection.cut_after(1), pytest.raises(redis.ConnectionError):
            worker.settle(results, [one.tag, other.tag], ["audio-a", "audio-b"])
        assert [told(), told()] == [result.value for result in results]
    assert redis_client.mget("result-a", "result-b") == [str(result.value).encode() for result in results]
    assert [redis_client.ttl("result-a"), redis_client.ttl("result-b")] == [60, 61]
    assert redis_client.hgetall(inflight_key(worker.worker_id)) == {b"#": b"3", b"3:2": b"c"}
    assert redis_client.keys("audio-*") == [b"audio-c"]


@pytest.mark.parametrize("first", ["SUCCESS", "FAILURE", "REVOKED"])
def test_first_final_result_stays(worker: Claims, redis_client: redis.Redis, first: str) -> None:
    """A final result never changes; whoever waits is told it again; the late message is acknowledged."""
    worker.settle([Result(key="result", value=meta(first, "first"), ttl=60)], [])
    push(redis_client, NORMAL, "late")
    (late,) = worker.claim(1)
    with listening(redis_client, "result") as told:
        worker.settle([Result(key="result", value=meta("SUCCESS", "late"), ttl=9_999)], [late.tag])
        assert told() == meta(first, "first")
    assert redis_client.get("result") == meta(first, "first").encode()
    assert redis_client.ttl("result") <= 60
    assert redis_client.hkeys(inflight_key(worker.worker_id)) == [b"#"]


@pytest.mark.parametrize("state", ["PENDING", "RECEIVED", "STARTED", "RETRY"])
def test_unfinished_state_is_overwritten(worker: Claims, redis_client: redis.Redis, state: str) -> None:
    """A state that is not final gives way to a result, and to another state."""
    redis_client.set("result", meta(state))
    worker.settle([Result(key="result", value=meta("RETRY"), ttl=60)], [])
    assert redis_client.get("result") == meta("RETRY").encode()
    worker.settle([Result(key="result", value=meta("SUCCESS"), ttl=60)], [])
    assert redis_client.get("result") == meta("SUCCESS").encode()


@pytest.mark.parametrize(
    "junk",
    [b"", b"garbage", b"7", b"null", b"[]", b'"SUCCESS"', b'{"status": null}', b"\xff\xfe", b"[" * 20_000],
    ids=lambda junk: str(junk[:12]),
)
def test_junk_under_the_result_key_gives_way(worker: Claims, redis_client: redis.Redis, junk: bytes) -> None:
    """What is no state of Celery's breaks no settlement, neither its own nor the batch's."""
    redis_client.set("result-1", junk)
    results = [Result(key=f"result-{number}", value=meta("SUCCESS"), ttl=60) for number in range(3)]
    worker.settle(results, [])
    assert redis_client.mget("result-0", "result-1", "result-2") == [meta("SUCCESS").encode()] * 3


def test_other_type_under_the_result_key_gives_way(worker: Claims, redis_client: redis.Redis) -> None:
    """A list where a result should be would otherwise be tried again for ever, and the worker with it."""
    redis_client.rpush("result", "x")
    worker.settle([Result(key="result", value=meta("SUCCESS"), ttl=60)], [])
    assert redis_client.get("result") == meta("SUCCESS").encode()


# The lease.


def test_lost_lease_ends_every_right(
    make_worker: MakeWorker, redis_client: redis.Redis, connection: CutConnection
) -> None:
    """Whoever has lost its lease may not claim, renew, settle or put back, and writes nothing by trying."""
    zombie, sweeper = make_worker(), make_worker()
    push(redis_client, NORMAL, *"ab")
    redis_client.set("audio", "1")
    (claimed,) = zombie.claim(1)
    run_out(redis_client, zombie)
    sweeper.return_dead()
    before = everything(redis_client)
    result = Result(key="result", value=meta("SUCCESS"), ttl=60)
    for late in (
        lambda: zombie.claim(1),
        zombie.renew,
        lambda: zombie.settle([result], [claimed.tag], ["audio"]),
        lambda: zombie.put_back(claimed.tag),
    ):
        with pytest.raises(LeaseLost):
            late()
    zombie.bury(claimed)
    assert zombie.give_back() == 0
    assert everything(redis_client) == before


def test_message_of_an_earlier_life_is_refused(worker: Claims, redis_client: redis.Redis) -> None:
    """A worker that has lost its lease and started anew does not settle the old under the new one."""
    push(redis_client, NORMAL, *"ab")
    (old,) = worker.claim(1)
    worker.take_lease()
    (new,) = worker.claim(1)
    assert (old.field, new.field) == ("1:2", "1:2")
    before = everything(redis_client)
    result = Result(key="result", value=meta("SUCCESS"), ttl=60)
    with pytest.raises(LeaseLost):
        worker.settle([result], [old.tag])
    with pytest.raises(LeaseLost):
        worker.put_back(old.tag)
    assert everything(redis_client) == before
    worker.settle([result], [old.tag, new.tag])
    assert worker.give_back() == 0


def test_new_life_begins_with_nothing(worker: Claims, redis_client: redis.Redis) -> None:
    """Taking a lease again is a new id, with nothing undelivered and no claim heard of."""
    push(redis_client, NORMAL, *"ab")
    before = worker.worker_id
    worker.undelivered.extend(worker.claim(1))
    worker.take_lease()
    assert worker.worker_id != before
    assert not worker.undelivered
    assert [one.field for one in worker.claim(1)] == ["1:2"]


def test_claim_belongs_to_the_life_it_was_made_in(
    worker: Claims, connection: CutConnection, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new lease taken while a claim's answer is on the way makes the claim no part of the new life."""
    push(redis_client, NORMAL, *"abc")
    old_id, script = worker.worker_id, worker._claim

    def meanwhile(**arguments: Any) -> Any:
        answer = script(**arguments)
        worker.take_lease()
        return answer

    monkeypatch.setattr(worker, "_claim", meanwhile)
    late = worker.claim(2)
    monkeypatch.undo()
    assert {one.worker_id for one in late} == {old_id}
    with connection.cut_after(1), pytest.raises(redis.ConnectionError):
        worker.claim(1)
    assert [(one.field, one.message) for one in worker.claim(1)] == [("1:2", b"c")]
    assert redis_client.hlen(inflight_key(old_id)) == 3


def test_lease_is_kept_by_renewing(make_worker: MakeWorker, redis_client: redis.Redis) -> None:
    """A lease that has run out and was not noticed yet is saved by its renewal."""
    worker, sweeper = make_worker(), make_worker()
    push(redis_client, NORMAL, "a")
    worker.claim(1)
    run_out(redis_client, worker)
    worker.renew()
    assert sweeper.return_dead() == 0
    assert redis_client.hlen(inflight_key(worker.worker_id)) == 2


# Return.


def test_give_back_restores_the_order(
    worker: Claims, make_worker: MakeWorker, redis_client: redis.Redis
) -> None:
    """What a stopping worker had goes to the heads of its lanes, in order, before what came meanwhile."""
    push(redis_client, URGENT, "u1", "u2")
    push(redis_client, NORMAL, *(f"n{number}" for number in range(12)))
    worker.claim(3), worker.claim(9)
    push(redis_client, URGENT, "u3")
    push(redis_client, BULK, "b1")
    assert worker.give_back() == 12
    assert texts(make_worker().claim(99)) == ["u1", "u2", "u3", *(f"n{number}" for number in range(12)), "b1"]
    assert not redis_client.exists(inflight_key(worker.worker_id))
    assert worker.worker_id.encode() not in redis_client.zrange(LEASES, 0, -1)


def test_only_the_dead_are_swept(make_worker: MakeWorker, redis_client: redis.Redis) -> None:
    """A sweep returns what workers hold whose lease has run out, in order, and nobody else's."""
    dead, living, sweeper = make_worker(), make_worker(), make_worker()
    push(redis_client, NORMAL, *"abcd")
    push(redis_client, URGENT, "u")
    dead.claim(1), living.claim(2), dead.claim(1)
    run_out(redis_client, dead)
    assert sweeper.return_dead() == 2
    assert sweeper.return_dead() == 0
    assert texts(sweeper.claim(9)) == ["u", "c", "d"]
    assert sorted(redis_client.hvals(inflight_key(living.worker_id))) == [b"2", b"a", b"b"]


def test_slow_sweeper_does_not_take_a_renewed_lease(
    make_worker: MakeWorker, redis_client: redis.Redis
) -> None:
    """Whether a lease has run out is decided in the step that returns, not when it was looked at."""
    worker, sweeper = make_worker(), make_worker()
    push(redis_client, NORMAL, "a")
    worker.claim(1)
    assert sweeper._return(worker.worker_id, "dead") == -1
    assert not redis_client.exists(NORMAL)


def test_sweeper_does_not_sweep_itself(make_worker: MakeWorker, redis_client: redis.Redis) -> None:
    """After a time without Redis every lease has run out; whoever sweeps lives, and keeps what it runs."""
    worker, other = make_worker(), make_worker()
    push(redis_client, NORMAL, "a")
    worker.claim(1)
    run_out(redis_client, worker)
    run_out(redis_client, other)
    assert worker.return_dead() == 0
    worker.renew()
    with pytest.raises(LeaseLost):
        other.renew()


@pytest.mark.parametrize("attempt", range(20))
def test_two_sweepers_return_once(
    make_worker: MakeWorker, redis_url: str, redis_client: redis.Redis, attempt: int
) -> None:
    """Workers that sweep at the same time return a dead one's messages once between them."""
    dead = make_worker()
    push(redis_client, NORMAL, *"abcdef")
    dead.claim(6)
    run_out(redis_client, dead)
    together = threading.Barrier(2)
    returned: list[int] = []

    def sweep() -> None:
        with redis.Redis.from_url(redis_url) as own:
            sweeper = Claims(own)
            sweeper.take_lease()
            together.wait()
            returned.append(sweeper.return_dead())

    threads = [threading.Thread(target=sweep) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(returned) == [0, 6]
    assert texts(make_worker().claim(99)) == list("abcdef")


def test_put_back_goes_to_the_head_once(worker: Claims, redis_client: redis.Redis) -> None:
    """One message returns to the head of its own lane; saying so twice changes nothing."""
    push(redis_client, NORMAL, *"abc")
    push(redis_client, BULK, "x")
    first, _ = worker.claim(2)
    worker.put_back(first.tag)
    worker.put_back(first.tag)
    assert texts(worker.claim(9)) == ["a", "c", "x"]
    assert sorted(redis_client.hvals(inflight_key(worker.worker_id))) == [b"5", b"a", b"b", b"c", b"x"]


def test_newest_of_the_buried_are_kept(worker: Claims, redis_client: redis.Redis) -> None:
    """A message that makes no sense leaves the record; the beginnings of the newest 1 000 are kept."""
    redis_client.lpush(DEAD_MESSAGES, *range(DEAD_MESSAGES_KEPT))
    push(redis_client, NORMAL, "x" * 3 * DEAD_MESSAGE_BYTES)
    (junk,) = worker.claim(1)
    worker.bury(junk)
    worker.bury(junk)
    kept: Any = redis_client.lrange(DEAD_MESSAGES, 0, -1)
    assert kept[:2] == [b"x" * DEAD_MESSAGE_BYTES, str(DEAD_MESSAGES_KEPT - 1).encode()]
    assert (len(kept), kept[-1]) == (DEAD_MESSAGES_KEPT, b"1")
    assert redis_client.hkeys(inflight_key(worker.worker_id)) == [b"#"]


# Redis itself.


@pytest.fixture
def full(redis_client: redis.Redis) -> Iterator[Callable[[], None]]:
    """Makes Redis full: it refuses whatever needs memory."""

    def fill() -> None:
        redis_client.config_set("maxmemory", 1)
        for refused in (lambda: redis_client.set("k", "v"), lambda: redis_client.lpush(NORMAL, "v")):
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                refused()

    yield fill
    redis_client.config_set("maxmemory", 0)


def test_full_redis_still_claims_and_settles(
    make_worker: MakeWorker, redis_client: redis.Redis, full: Callable[[], None]
) -> None:
    """At `maxmemory` producers are refused, and a worker can do all that it does, from its start on."""
    push(redis_client, NORMAL, *"abcdefg")
    redis_client.set("audio", "1" * 10_000)
    redis_client.script_flush()
    full()
    worker, dead, stopping = make_worker(), make_worker(), make_worker()
    settled, junk, back = worker.claim(3)
    worker.renew()
    worker.settle([Result(key="result", value=meta("SUCCESS"), ttl=60)], [settled.tag], ["audio"])
    worker.bury(junk)
    worker.put_back(back.tag)
    dead.claim(2), stopping.claim(1)
    run_out_at_capacity(redis_client, dead)
    assert worker.return_dead() == 2
    assert stopping.give_back() == 1
    assert sorted(texts(worker.claim(9))) == list("cdefg")
    assert (redis_client.exists("result"), redis_client.exists("audio")) == (1, 0)


def run_out_at_capacity(client: redis.Redis, claims: Claims) -> None:
    """As `run_out`, which a full Redis would refuse."""
    script = "#!lua flags=allow-oom\nreturn redis.call('ZADD', KEYS[1], 'XX', 1, ARGV[1])"
    client.eval(script, 1, LEASES, claims.worker_id)


def test_lease_ends_by_the_clock_of_redis(worker: Claims, redis_client: redis.Redis) -> None:
    """A lease lasts from Redis's own time on, taken and renewed alike."""

    def now() -> float:
        seconds, microseconds = redis_client.time()
        return seconds * 1_000 + microseconds / 1_000

    for renew in (worker.take_lease, worker.renew):
        before = now()
        renew()
        ends: Any = redis_client.zscore(LEASES, worker.worker_id)
        assert before - 1 <= ends - LEASE_SECONDS * 1_000 <= now()


def test_no_clock_of_a_worker_is_asked() -> None:
    """No module of the transport knows another clock than Redis's: a wrong one would kill living workers."""
    imported = set()
    for path in TRANSPORT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module))
    assert "redis" in imported
    assert not imported & {"time", "datetime", "calendar", "protocol.clock"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_take_no_point_in_time(script: Path) -> None:
    """What a caller passes is never compared as more or less; only lengths are added to Redis's `TIME`."""
    code = re.sub(r"--.*", "", script.read_text(encoding="utf-8"))
    assert not re.findall(r".*(?:ARGV.*[<>]|[<>].*ARGV).*", code)
    leases_in_numbers = "ZADD" in code or "tonumber(lease)" in code
    assert ("redis.call('TIME')" in code) == leases_in_numbers


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_work_without_memory(script: Path) -> None:
    """Every script may run when Redis is full: each of them makes room, or keeps a lease."""
    assert script.read_text(encoding="utf-8").startswith("#!lua flags=allow-oom\n")
