"""Promise: a message is claimed, settled and returned in one step each, by whoever has the lease for it."""

from __future__ import annotations

import ast
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from protocol.routing import (
    CONVERSATION_SECONDS,
    HELD,
    HELD_BYTES,
    LEASES,
    RATES,
    cancel_key,
    context_key,
    deaths_key,
    inflight_key,
    payload_key,
    result_key,
    turn_key,
    waiting_key,
)
from tests.integration.conftest import lives
from tests.integration.cut_connection import CutConnection
from tests.redis_users import as_user
from workers.transport import claims as claims_module
from workers.transport.claims import (
    CHOSEN_WITHIN,
    DEAD_MESSAGE_BYTES,
    DEAD_MESSAGES_KEPT,
    DEATHS_SECONDS,
    LANES,
    Claimed,
    Claims,
    LeaseLost,
)
from workers.transport.dead import DEAD_MESSAGES, DEAD_REQUESTS, DEAD_SECONDS, DeadOnes, dead_key
from workers.transport.scripts import NAMES, script, text_of
from workers.transport.settlement import (
    CONTEXT_BYTES,
    Audio,
    GivenUp,
    Result,
    Settlement,
    Turn,
    for_end_turns,
)
from workers.transport.starting import May, Starter, Verdict

TRANSPORT = Path(claims_module.__file__).parent

URGENT, NORMAL, BULK = LANES

#: How long a publication may take to arrive before it counts as not sent, in seconds.
TOLD_SECONDS = 5.0

MakeWorker = Callable[[], Claims]


@pytest.fixture
def connection(redis_url: str, redis_client: redis.Redis) -> Iterator[CutConnection]:
    """The connection of the workers under test, for cutting."""
    with CutConnection.from_url(as_user(redis_url, "admin")) as made:
        yield made


@pytest.fixture
def make_worker(connection: CutConnection, monkeypatch: pytest.MonkeyPatch) -> MakeWorker:
    """Workers with a lease each, which nobody renews: it ends when the test lets it, and no sooner."""
    monkeypatch.setattr(claims_module, "LEASE_SECONDS", 3_600.0)

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


def settle(
    claims: Claims, results: Sequence[Result], tags: Sequence[str] = (), *, audios: Iterable[str] = ()
) -> None:
    """Settle, with the audio of requests of normal priority."""
    removed = [Audio(request_id=name, priority_number=5) for name in audios]
    claims.settle(Settlement(results=list(results), tags=list(tags), audios=removed))


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


def test_chosen_go_first(worker: Claims, redis_client: redis.Redis) -> None:
    """Those that a worker has seen and chosen are claimed wherever they wait, in the order of its choice."""
    push(redis_client, NORMAL, "n1", "n2", "n3", "n4")
    push(redis_client, BULK, "b1", "b2")
    assert texts(worker.claim(3, chosen=[b"n3", b"b2", b"n4"])) == ["n3", "b2", "n4"]
    assert texts(worker.claim(3)) == ["n1", "n2", "b1"]


def test_urgent_goes_before_the_chosen(worker: Claims, redis_client: redis.Redis) -> None:
    """Whoever has come since the worker looked, and is urgent, takes the place of the last of them."""
    push(redis_client, NORMAL, "n1", "n2", "n3")
    push(redis_client, URGENT, "u")
    assert texts(worker.claim(2, chosen=[b"n2", b"n3"])) == ["u", "n2"]


def test_bulk_has_its_turn_beside_the_chosen(connection: CutConnection, redis_client: redis.Redis) -> None:
    """Of as many claims as a turn has, one is bulk's, whatever was chosen; nobody floods the normal ones."""
    worker = Claims(connection, claims_per_turn=4)
    worker.take_lease()
    push(redis_client, NORMAL, "n1", "n2", "n3", "n4")
    push(redis_client, BULK, "b")
    assert texts(worker.claim(4, chosen=[b"n4", b"n3", b"n2"])) == ["n4", "n3", "n2", "b"]


def test_chosen_that_are_gone_leave_their_places(make_worker: MakeWorker, redis_client: redis.Redis) -> None:
    """What another was faster to claim is not claimed twice: who waits longest comes in its place."""
    push(redis_client, NORMAL, "n1", "n2", "n3", "n4")
    assert texts(make_worker().claim(1, chosen=[b"n3"])) == ["n3"]
    assert texts(make_worker().claim(2, chosen=[b"n3", b"n4"])) == ["n4", "n1"]


def test_chosen_are_looked_for_where_they_were_seen(worker: Claims, redis_client: redis.Redis) -> None:
    """A claim does not search a long queue: what has been put behind so many others is not found."""
    behind = [f"n{number}" for number in range(CHOSEN_WITHIN + 1)]
    push(redis_client, NORMAL, *behind)
    assert texts(worker.claim(1, chosen=[behind[-1].encode()])) == ["n0"]
    assert texts(worker.claim(1, chosen=[behind[-1].encode()])) == [behind[-1]]


def test_chosen_are_returned_to_the_head(worker: Claims, redis_client: redis.Redis) -> None:
    """Whoever claims next finds them first, in the order in which they were claimed."""
    push(redis_client, NORMAL, "n1", "n2", "n3", "n4")
    worker.claim(2, chosen=[b"n2", b"n4"])
    worker.give_back()
    assert redis_client.lrange(NORMAL, 0, -1) == [b"n3", b"n1", b"n4", b"n2"]


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
    settle(worker, [], [one.tag for one in again])
    assert set(redis_client.hvals(inflight_key(worker.worker_id))) == {b"5", b"a", b"d", b"e"}


# Settle.


def test_settlement_is_one_step(worker: Claims, connection: CutConnection, redis_client: redis.Redis) -> None:
    """One call stores the results, tells whoever waits, removes messages and audio, and nothing else."""
    push(redis_client, NORMAL, *"abc")
    redis_client.mset({payload_key(name): "1" for name in "abc"})
    one, other, _ = worker.claim(3)
    with listening(redis_client, "result-a", "result-b") as told:
        results = [
            Result(key=f"result-{name}", value=meta("SUCCESS", name), ttl=ttl)
            for name, ttl in (("a", 60), ("b", 6_000))
        ]
        with connection.cut_after(1), pytest.raises(redis.ConnectionError):
            settle(worker, results, [one.tag, other.tag], audios="ab")
        assert [told(), told()] == [result.value for result in results]
    assert redis_client.mget("result-a", "result-b") == [str(result.value).encode() for result in results]
    assert lives(redis_client, "result-a", 60)
    assert lives(redis_client, "result-b", 6_000)
    assert redis_client.hgetall(inflight_key(worker.worker_id)) == {b"#": b"3", b"3:2": b"c"}
    assert redis_client.keys(payload_key("*")) == [payload_key("c").encode()]


@pytest.mark.parametrize("first", ["SUCCESS", "FAILURE", "REVOKED"])
def test_first_final_result_stays(worker: Claims, redis_client: redis.Redis, first: str) -> None:
    """A final result never changes; whoever waits is told it again; the late message is acknowledged."""
    settle(worker, [Result(key="result", value=meta(first, "first"), ttl=60)], [])
    push(redis_client, NORMAL, "late")
    (late,) = worker.claim(1)
    with listening(redis_client, "result") as told:
        settle(worker, [Result(key="result", value=meta("SUCCESS", "late"), ttl=9_999)], [late.tag])
        assert told() == meta(first, "first")
    assert redis_client.get("result") == meta(first, "first").encode()
    assert redis_client.ttl("result") <= 60
    assert redis_client.hkeys(inflight_key(worker.worker_id)) == [b"#"]


@pytest.mark.parametrize("state", ["PENDING", "RECEIVED", "STARTED", "RETRY"])
def test_unfinished_state_is_overwritten(worker: Claims, redis_client: redis.Redis, state: str) -> None:
    """A state that is not final gives way to a result, and to another state."""
    redis_client.set("result", meta(state))
    settle(worker, [Result(key="result", value=meta("RETRY"), ttl=60)], [])
    assert redis_client.get("result") == meta("RETRY").encode()
    settle(worker, [Result(key="result", value=meta("SUCCESS"), ttl=60)], [])
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
    settle(worker, results)
    assert redis_client.mget("result-0", "result-1", "result-2") == [meta("SUCCESS").encode()] * 3


def test_other_type_under_the_result_key_gives_way(worker: Claims, redis_client: redis.Redis) -> None:
    """A list where a result should be would otherwise be tried again for ever, and the worker with it."""
    redis_client.rpush("result", "x")
    settle(worker, [Result(key="result", value=meta("SUCCESS"), ttl=60)], [])
    assert redis_client.get("result") == meta("SUCCESS").encode()


Spoil = Callable[[redis.Redis, str], object]

#: What a stranger may put where something else belongs.
SPOILED: dict[str, Spoil] = {
    "text": lambda client, key: client.set(key, "junk"),
    "a set": lambda client, key: client.sadd(key, "junk"),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_junk_under_a_requests_other_keys_holds_nobody_up(
    worker: Claims, redis_client: redis.Redis, spoil: Spoil
) -> None:
    """Its deaths begin anew, what is kept of it replaces the junk, and its batch is settled."""
    push(redis_client, NORMAL, *"ab")
    claimed = worker.claim(2)
    spoil(redis_client, deaths_key("a"))
    assert [verdict.may for verdict in start(worker, *claimed)] == [May.RUN] * 2
    spoil(redis_client, deaths_key("a"))
    assert worker.count_deaths() == {"a": 0, "b": 0}
    spoil(redis_client, dead_key("a"))
    redis_client.hset(HELD_BYTES, "5", "junk")
    redis_client.set(payload_key("b"), "1")
    redis_client.zadd(HELD, {"5:1:b": 1})
    given_up = GivenUp(request_id="a", tag=claimed[0].tag, reason="junk")
    audio = Audio(request_id="b", priority_number=5)
    tags = [one.tag for one in claimed]
    worker.settle(Settlement(given_up=[given_up], audios=[audio], tags=tags))
    assert redis_client.hget(dead_key("a"), "message") == b"a"
    assert redis_client.hkeys(inflight_key(worker.worker_id)) == [b"#"]


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_junk_in_a_conversation_holds_nobody_up(
    worker: Claims, redis_client: redis.Redis, spoil: Spoil
) -> None:
    """The context begins anew, turns that make no sense are passed over, and who is there goes."""
    turn = Turn(conversation="talk", request_id="one", text="said")
    redis_client.set(turn_key("talk"), "one", ex=60)
    redis_client.rpush(waiting_key("talk"), "2:two:the next", "7:x:no such lane", "junk")
    spoil(redis_client, context_key("talk"))
    worker.settle(Settlement(turns=[turn]))
    assert redis_client.hgetall(context_key("talk")) == {b"text": b" said", b"turns": b"1"}
    assert redis_client.lrange(NORMAL, 0, -1) == [b"the next"]
    spoil(redis_client, waiting_key("talk"))
    worker.settle(Settlement(turns=[replace(turn, request_id="two")]))
    assert not redis_client.exists(turn_key("talk"))
    spoil(redis_client, turn_key("talk"))
    worker.settle(Settlement(turns=[turn]))


# Start, and deaths.


def start(claims: Claims, *claimed: Claimed) -> list[Verdict]:
    """Start a batch of requests that are named like their messages."""
    starters = [
        Starter(tag=one.tag, request_id=one.message.decode(), state=meta("STARTED")) for one in claimed
    ]
    return claims.start(starters, 600)


def test_start_says_who_may_run(worker: Claims, redis_client: redis.Redis) -> None:
    """Nobody finished or cancelled; and with company nobody under whom an engine has died."""
    push(redis_client, NORMAL, "new", "done", "cancelled", "suspect", "twice")
    redis_client.set(result_key("done"), meta("SUCCESS"))
    redis_client.set(result_key("new"), meta("RETRY"))
    redis_client.set(cancel_key("cancelled"), "1")
    redis_client.mset({deaths_key("suspect"): 0, deaths_key("twice"): 2})
    claimed = worker.claim(5)
    assert start(worker, *claimed) == [
        Verdict(may=May.RUN),
        Verdict(may=May.NOT_AGAIN),
        Verdict(may=May.NOT_ANY_MORE),
        Verdict(may=May.RUN_ALONE),
        Verdict(may=May.RUN_ALONE, deaths_alone=2),
    ]
    stored = redis_client.mget(*(result_key(one.message.decode()) for one in claimed))
    assert stored == [meta("STARTED").encode(), meta("SUCCESS").encode(), None, None, None]
    assert start(worker, claimed[4]) == [Verdict(may=May.RUN, deaths_alone=2)]


def test_deaths_are_those_of_the_batch_that_ran(make_worker: MakeWorker, redis_client: redis.Redis) -> None:
    """A worker dies: who was claimed and waited, and who is settled, has not died with it."""
    dead, sweeper = make_worker(), make_worker()
    push(redis_client, NORMAL, "ran", "too", "settled", "waited")
    ran, too, settled, _ = dead.claim(4)
    start(dead, ran, too, settled)
    settle(dead, [], [settled.tag])
    run_out(redis_client, dead)
    assert sweeper.return_dead() == 3
    deaths = {key: redis_client.get(key) for key in redis_client.scan_iter(deaths_key("*"))}
    assert deaths == {deaths_key("ran").encode(): b"0", deaths_key("too").encode(): b"0"}


def test_death_alone_counts_once(make_worker: MakeWorker, redis_client: redis.Redis) -> None:
    """Whether the engine dies under a living worker or with it: one death, for who ran alone."""
    worker, sweeper = make_worker(), make_worker()
    push(redis_client, NORMAL, "heavy")
    (heavy,) = worker.claim(1)
    start(worker, heavy)
    assert worker.count_deaths() == {"heavy": 1}
    assert worker.count_deaths() == {}
    start(worker, heavy)
    run_out(redis_client, worker)
    sweeper.return_dead()
    (heavy,) = sweeper.claim(1)
    assert start(sweeper, heavy) == [Verdict(may=May.RUN, deaths_alone=2)]
    assert 0 < redis_client.ttl(deaths_key("heavy")) <= DEATHS_SECONDS


def test_who_hands_back_has_not_died(make_worker: MakeWorker, redis_client: redis.Redis) -> None:
    """A worker that is told to stop in the middle of a batch has died of nobody."""
    worker = make_worker()
    push(redis_client, NORMAL, "a")
    start(worker, *worker.claim(1))
    assert worker.give_back() == 1
    assert not redis_client.keys(deaths_key("*"))


def test_given_up_requests_are_kept(worker: Claims, redis_client: redis.Redis) -> None:
    """In the step that settles them: their message and their audio, the newest of them, for a week."""
    push(redis_client, BULK, "poison")
    redis_client.set(payload_key("poison"), "audio", ex=60)
    (poison,) = worker.claim(1)
    redis_client.zadd(DEAD_REQUESTS, {f"old{number}": number for number in range(10)})
    given_up = GivenUp(request_id="poison", tag=poison.tag, reason="it crashes")
    result = Result(key=result_key("poison"), value=meta("FAILURE"), ttl=60)
    worker.settle(Settlement(results=[result], tags=[poison.tag], given_up=[given_up]))
    (kept,) = DeadOnes(redis_client).list()
    assert (kept.name, kept.message, kept.reason) == ("poison", b"poison", "it crashes")
    assert (kept.lane, kept.audio_bytes) == (3, 5)
    assert lives(redis_client, payload_key("poison"), DEAD_SECONDS)
    assert lives(redis_client, dead_key("poison"), DEAD_SECONDS)
    assert redis_client.zcard(DEAD_REQUESTS) == 1
    assert redis_client.get(result_key("poison")) == meta("FAILURE").encode()
    assert worker.give_back() == 0


# Conversations.


def talk(client: redis.Redis, *waiting: str) -> None:
    """A conversation whose turn is that of `one`, which is on its lane, with these behind it."""
    push(client, NORMAL, "one")
    client.set(turn_key("talk"), "one", ex=60)
    client.lpush(waiting_key("talk"), *waiting)


def end_of(request_id: str, text: str = "", *, anew: bool = False) -> Settlement:
    """What ends a turn, and does nothing else."""
    turn = Turn(conversation="talk", request_id=request_id, text=text, begins_anew=anew)
    return Settlement(turns=[turn])


def test_next_turn_goes_once(worker: Claims, connection: CutConnection, redis_client: redis.Redis) -> None:
    """A settlement whose answer was lost is repeated: one text comes to the context, one turn goes."""
    talk(redis_client, "2:two:message two", "2:three:message three")
    (one,) = worker.claim(1)
    settlement = end_of("one", "hello")
    settlement.tags.append(one.tag)
    with connection.cut_after(1), pytest.raises(redis.ConnectionError):
        worker.settle(settlement)
    worker.settle(settlement)
    assert redis_client.get(turn_key("talk")) == b"two"
    assert redis_client.lrange(NORMAL, 0, -1) == [b"message two"]
    assert redis_client.lrange(waiting_key("talk"), 0, -1) == [b"2:three:message three"]
    assert redis_client.hgetall(context_key("talk")) == {b"text": b" hello", b"turns": b"1"}


def test_last_turn_leaves_only_its_context(worker: Claims, redis_client: redis.Redis) -> None:
    """Nobody waits: the next that comes is the turn; every key that stays ends a day later."""
    redis_client.set(turn_key("talk"), "one", ex=60)
    worker.settle(end_of("one", "hello"))
    assert redis_client.keys("segue:conversation:*") == [context_key("talk").encode()]
    assert lives(redis_client, context_key("talk"), CONVERSATION_SECONDS)


def test_next_turn_goes_to_the_head_of_its_own_lane(worker: Claims, redis_client: redis.Redis) -> None:
    """It has waited long enough: it goes ahead of what waits there, whatever the lane of the one before.

    A message is any bytes, colons and line ends among them.
    """
    talk(redis_client, "3:two:{:\n:}")
    push(redis_client, BULK, "later")
    worker.settle(end_of("one"))
    assert redis_client.lrange(BULK, 0, -1) == [b"later", b"{:\n:}"]
    assert lives(redis_client, turn_key("talk"), CONVERSATION_SECONDS)
    assert not redis_client.exists(context_key("talk"), waiting_key("talk"))


def test_only_the_turn_ends_the_turn(worker: Claims, redis_client: redis.Redis) -> None:
    """Who is not the turn, be it a second message or one that came past the door, moves nothing."""
    talk(redis_client, "2:two:message")
    before = everything(redis_client)
    worker.settle(end_of("stranger", "hello"))
    worker.settle(end_of("two", "hello"))
    assert everything(redis_client) == before


def test_lost_lease_ends_no_turn(
    make_worker: MakeWorker, connection: CutConnection, redis_client: redis.Redis
) -> None:
    """The turn runs elsewhere: whoever has it now ends it."""
    zombie, sweeper = make_worker(), make_worker()
    talk(redis_client, "2:two:message")
    zombie.claim(1)
    run_out(redis_client, zombie)
    sweeper.return_dead()
    before = everything(redis_client)
    with pytest.raises(LeaseLost):
        zombie.settle(end_of("one", "hello"))
    assert everything(redis_client) == before


def test_context_keeps_the_end_of_what_was_said(worker: Claims, redis_client: redis.Redis) -> None:
    """So many bytes of it; and nothing that was before a text of which nothing shall be heard any more."""
    for text in ("x" * CONTEXT_BYTES, "last words"):
        redis_client.set(turn_key("talk"), "one")
        worker.settle(end_of("one", text))
    kept: Any = redis_client.hget(context_key("talk"), "text")
    assert (len(kept), kept[-12:]) == (CONTEXT_BYTES, b"x last words")
    redis_client.set(turn_key("talk"), "one")
    worker.settle(end_of("one", "anew", anew=True))
    assert redis_client.hgetall(context_key("talk")) == {b"text": b" anew", b"turns": b"1"}


def test_turns_end_the_same_without_claims(redis_client: redis.Redis) -> None:
    """The script for kombu's own transport: one turn of each conversation, each once."""
    talk(redis_client, "1:two:message")
    redis_client.set(turn_key("walk"), "w")
    turns = [*end_of("one", "hello").turns, Turn(conversation="walk", request_id="w", text="ho")]
    keys, arguments = for_end_turns(turns)
    for _ in range(2):
        script(redis_client, "end_turns")(keys=keys, args=arguments)
    assert redis_client.mget(turn_key("talk"), turn_key("walk")) == [b"two", None]
    assert redis_client.lrange(URGENT, 0, -1) == [b"message"]
    assert redis_client.hget(context_key("talk"), "turns") == b"1"
    assert redis_client.hget(context_key("walk"), "text") == b" ho"


# What producers are told.


def test_audio_that_is_removed_does_not_count_any_more(worker: Claims, redis_client: redis.Redis) -> None:
    """Settled, or never to run: its bytes are taken off, once, and an account of nothing is gone."""
    for name, audio in {"a": "12345", "b": "123"}.items():
        redis_client.set(payload_key(name), audio)
        redis_client.zadd(HELD, {f"5:{len(audio)}:{name}": 1})
        redis_client.hincrby(HELD_BYTES, "5", len(audio))
    settle(worker, [], audios="a")
    settle(worker, [], audios="a")
    assert redis_client.hgetall(HELD_BYTES) == {b"5": b"3"}
    release = script(redis_client, "release")
    release(keys=[HELD, HELD_BYTES, payload_key("b"), payload_key("c")], args=["b", 5, "c", 5])
    assert not redis_client.exists(HELD, HELD_BYTES, payload_key("a"), payload_key("b"))


def test_rate_is_told_while_the_worker_lives(worker: Claims, redis_client: redis.Redis) -> None:
    """Every settlement says how fast the worker is; a worker that is gone is not counted on."""
    worker.settle(Settlement(rate=12.5))
    assert redis_client.hgetall(RATES) == {worker.worker_id.encode(): b"12.500"}
    worker.give_back()
    assert not redis_client.exists(RATES)


# The lease.


def test_lost_lease_ends_every_right(
    make_worker: MakeWorker, redis_client: redis.Redis, connection: CutConnection
) -> None:
    """Whoever has lost its lease may not claim, renew, settle or put back, and writes nothing by trying."""
    zombie, sweeper = make_worker(), make_worker()
    push(redis_client, NORMAL, *"ab")
    redis_client.set(payload_key("a"), "1")
    (claimed,) = zombie.claim(1)
    run_out(redis_client, zombie)
    sweeper.return_dead()
    before = everything(redis_client)
    result = Result(key="result", value=meta("SUCCESS"), ttl=60)
    for late in (
        lambda: zombie.claim(1),
        zombie.renew,
        lambda: settle(zombie, [result], [claimed.tag], audios="a"),
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
        settle(worker, [result], [old.tag])
    with pytest.raises(LeaseLost):
        worker.put_back(old.tag)
    assert everything(redis_client) == before
    settle(worker, [result], [old.tag, new.tag])
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
    old_id, claim = worker.worker_id, worker._scripts["claim"]

    def meanwhile(**arguments: Any) -> Any:
        answer = claim(**arguments)
        worker.take_lease()
        return answer

    monkeypatch.setitem(worker._scripts, "claim", meanwhile)
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


def test_what_is_put_back_together_keeps_its_order(worker: Claims, redis_client: redis.Redis) -> None:
    """In whatever order they are named, each lane has its own as they were; other lives' are left out."""
    push(redis_client, NORMAL, *"abcd")
    push(redis_client, BULK, *"xy")
    a, b, c, _, x, y = worker.claim(6)
    worker.put_back(y.tag, b.tag, f"{'0' * 32}/2:2", a.tag, x.tag, c.tag)
    assert redis_client.lrange(NORMAL, 0, -1) == [b"c", b"b", b"a"]
    assert redis_client.lrange(BULK, 0, -1) == [b"y", b"x"]


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
    redis_client.set(payload_key("a"), "1" * 10_000)
    redis_client.script_flush()
    full()
    worker, dead, stopping = make_worker(), make_worker(), make_worker()
    settled, junk, back = worker.claim(3)
    worker.renew()
    settle(worker, [Result(key="result", value=meta("SUCCESS"), ttl=60)], [settled.tag], audios="a")
    worker.bury(junk)
    worker.put_back(back.tag)
    dead.claim(2), stopping.claim(1)
    run_out_at_capacity(redis_client, dead)
    assert worker.return_dead() == 2
    assert stopping.give_back() == 1
    assert sorted(texts(worker.claim(9))) == list("cdefg")
    assert (redis_client.exists("result"), redis_client.exists(payload_key("a"))) == (1, 0)


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
        assert before - 1 <= ends - claims_module.LEASE_SECONDS * 1_000 <= now()


def test_no_clock_of_a_worker_is_asked() -> None:
    """The transport tells the time by Redis alone, and lengths by `monotonic`: a wrong clock kills none."""
    clocks = {"time", "datetime", "calendar", "protocol.clock"}
    asked = set()
    for path in TRANSPORT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Attribute(value=ast.Name(id=module), attr=name) if module in clocks:
                    asked.add(f"{module}.{name}")
                case ast.ImportFrom(module=str(module), names=names) if module in clocks:
                    asked |= {f"{module}.{name.name}" for name in names}
    assert asked <= {"time.monotonic", "time.sleep"}


@pytest.mark.parametrize("script", NAMES)
def test_scripts_take_no_point_in_time(script: str) -> None:
    """What a caller passes is never compared as more or less; only lengths are added to Redis's `TIME`."""
    code = re.sub(r"--.*", "", text_of(script))
    assert not re.findall(r".*(?:ARGV.*[<>]|[<>].*ARGV).*", code)
    leases_in_numbers = "ZADD" in code or "tonumber(lease)" in code
    assert ("redis.call('TIME')" in code) == leases_in_numbers


@pytest.mark.parametrize("script", NAMES)
def test_scripts_work_without_memory(script: str) -> None:
    """Every script may run when Redis is full: each of them makes room, or keeps a lease."""
    assert text_of(script).startswith("#!lua flags=allow-oom\n")
