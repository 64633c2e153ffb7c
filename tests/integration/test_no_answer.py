"""Promise: a Redis that does what it is told and never answers keeps nobody; nothing is lost or doubled.

Each call that producers and workers make of Redis is made while answers stay away, and once more when they
come again. A case yields its call, is sent what the second call returns, and says what must then be so.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import Any, TypeAlias

import numpy as np
import redis

from bench.proxy import Proxy
from producer import AsyncClient, Client
from protocol.errors import QueueUnreachable
from protocol.request import Priority
from protocol.routing import LEASES, deaths_key, inflight_key, result_key
from protocol.transcript import Status
from tests.redis_users import as_user
from workers.transport.claims import LANES, Claimed, Claims, connect
from workers.transport.dead import DEAD_MESSAGES
from workers.transport.memory import Memory
from workers.transport.scripts import NAMES, text_of
from workers.transport.settlement import Result, Settlement
from workers.transport.starting import May, Starter

SILENCE = np.zeros(800, np.int16)

#: How long a call may take on a busy machine, in seconds: each ends after a few, or never.
WAIT = 60.0

#: When a lease ends that lasts longer than any test, in ms on Redis's clock.
FAR = 1e14

URGENT, _, BULK = LANES

Case: TypeAlias = Generator[Callable[[], Any], Any, None]


# What producers call.


def submitting(client: Client, looker: redis.Redis) -> Case:
    yield lambda: client.submit(SILENCE, request_id="one")
    assert how_often(looker, "one") == 1


def submitting_many(client: Client, looker: redis.Redis) -> Case:
    yield lambda: client.submit_many([SILENCE] * 3, request_ids=["x", "y", "z"])
    assert [how_often(looker, name) for name in "xyz"] == [1, 1, 1]


def submitting_a_turn(client: Client, looker: redis.Redis) -> Case:
    yield lambda: client.submit(SILENCE, request_id="turn", conversation="talk")
    assert how_often(looker, "turn") == 1


def submitting_a_recording(client: Client, looker: redis.Redis) -> Case:
    yield lambda: client.submit_recording(SILENCE, request_id="long", split="fixed")
    assert how_often(looker, "long-0001") == 1


def cancelling(client: Client, _: redis.Redis) -> Case:
    ticket = client.submit(SILENCE, request_id="unwanted")
    yield ticket.cancel
    assert ticket.status is Status.CANCELLED


def asking(client: Client, _: redis.Redis) -> Case:
    client.submit(SILENCE, request_id="waiting")
    assert (yield lambda: client.status("waiting")) is Status.QUEUED


def asking_of_many(client: Client, _: redis.Redis) -> Case:
    assert (yield lambda: client.statuses(["nobody"])) == [Status.UNKNOWN]


def looking_for_a_result(client: Client, _: redis.Redis) -> Case:
    assert (yield client.get("nobody").ready) is False


def asking_for_the_receipt(client: Client, _: redis.Redis) -> Case:
    assert (yield lambda: client.get("nobody").timings) is None


def counting(client: Client, _: redis.Redis) -> Case:
    assert set((yield client.queue_depth)) == set(Priority)


PRODUCERS = (
    submitting,
    submitting_many,
    submitting_a_turn,
    submitting_a_recording,
    cancelling,
    asking,
    asking_of_many,
    looking_for_a_result,
    asking_for_the_receipt,
    counting,
)


def test_every_call_of_a_producer_ends(redis_url: str, redis_client: redis.Redis) -> None:
    """Each says that Redis does not answer; made again, it is as if it had been made once."""
    url = as_user(redis_url, "producer")
    with Proxy(url) as proxy, ExitStack() as stack:
        clients = [stack.enter_context(Client(proxy.url)) for _ in PRODUCERS]
        for client in clients:
            client.submit(SILENCE)  # connected, and what time it is is known
        cases = [case(client, redis_client) for case, client in zip(PRODUCERS, clients, strict=True)]
        errors = made_twice(proxy, cases)
    assert {type(error) for error in errors} == {QueueUnreachable}


def test_waiting_for_results_ends(redis_url: str, redis_client: redis.Redis) -> None:
    """One or many: who waits for ten minutes is not kept for them by a Redis that has fallen silent."""
    with Proxy(as_user(redis_url, "producer")) as proxy, ExitStack() as stack:
        clients = [stack.enter_context(Client(proxy.url)) for _ in range(2)]
        one, many = (client.submit_many([SILENCE] * 2) for client in clients)
        with ThreadPoolExecutor() as threads:
            waiting: list[Future[Any]] = [threads.submit(one.tickets[0].result, 600)]
            waiting.append(threads.submit(many.results, 600))
            while not redis_client.pubsub_channels("*"):
                pass  # the first has looked once, and listens
            proxy.silence(up=False)
            errors = [one.exception(WAIT) for one in waiting]
    assert {type(error) for error in errors} == {QueueUnreachable}


def test_every_call_of_a_coroutine_ends(redis_url: str, redis_client: redis.Redis) -> None:
    """The same for `AsyncClient`."""

    def calls(client: AsyncClient) -> list[Callable[[], Awaitable[Any]]]:
        return [
            lambda: client.submit(SILENCE, request_id="one"),
            lambda: client.submit_many([SILENCE] * 2, request_ids=["x", "y"]),
            lambda: client.status("nobody"),
            lambda: client.cancel("nobody"),
            lambda: client.result("nobody", timeout=600),
            client.queue_depth,
        ]

    async def main() -> set[type]:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(AsyncClient(proxy.url)) for _ in range(6)]
            await asyncio.gather(*(client.submit(SILENCE) for client in clients))
            chosen = [calls(client)[number] for number, client in enumerate(clients)]
            proxy.silence(up=False)
            errors = await asyncio.gather(*(call() for call in chosen), return_exceptions=True)
            proxy.clear(forget=True)
            await asyncio.gather(chosen[0](), chosen[1]())
            return {type(error) for error in errors}

    with Proxy(as_user(redis_url, "producer")) as proxy:
        errors = asyncio.run(asyncio.wait_for(main(), WAIT))
    _forget_connections()
    assert errors == {QueueUnreachable}
    assert [how_often(redis_client, name) for name in ("one", "x", "y")] == [1, 1, 1]


def _forget_connections() -> None:
    """A TLS connection that fell silent waits for the other end's farewell for longer than its loop lives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


# What workers call.


def taking_a_lease(claims: Claims, looker: redis.Redis) -> Case:
    yield claims.take_lease
    assert looker.zscore(LEASES, claims.worker_id)


def renewing(claims: Claims, looker: redis.Redis) -> Case:
    looker.zadd(LEASES, {claims.worker_id: 1})
    yield claims.renew
    assert (looker.zscore(LEASES, claims.worker_id) or 0) > 1


def starting(claims: Claims, looker: redis.Redis) -> Case:
    one = held(claims, looker, "started")
    starter = Starter(tag=one.tag, request_id="started", state=b'{"status": "STARTED"}')
    verdicts = yield lambda: claims.start([starter], 60)
    assert [verdict.may for verdict in verdicts] == [May.RUN]
    assert not looker.exists(deaths_key("started"))


def counting_deaths(claims: Claims, looker: redis.Redis) -> Case:
    one = held(claims, looker, "died")
    claims.start([Starter(tag=one.tag, request_id="died", state=b"{}")], 60)
    yield claims.count_deaths
    assert looker.get(deaths_key("died")) == b"1"


def settling(claims: Claims, looker: redis.Redis) -> Case:
    one = held(claims, looker, "settled")
    result = Result(key=result_key("settled"), value='{"status": "SUCCESS"}', ttl=60)
    yield lambda: claims.settle(Settlement(results=[result], tags=[one.tag]))
    assert looker.get(result_key("settled")) == b'{"status": "SUCCESS"}'
    assert not looker.hexists(inflight_key(claims.worker_id), one.field)


def putting_back(claims: Claims, looker: redis.Redis) -> Case:
    one = held(claims, looker, "put back")
    yield lambda: claims.put_back(one.tag)
    assert how_often(looker, "put back") == 1


def demoting(claims: Claims, looker: redis.Redis) -> Case:
    one = held(claims, looker, "demoted")
    yield lambda: claims.demote(one.tag)
    assert how_often(looker, "demoted") == 1


def burying(claims: Claims, looker: redis.Redis) -> Case:
    one = held(claims, looker, "buried")
    yield lambda: claims.bury(one)
    assert looker.lrange(DEAD_MESSAGES, 0, -1) == [b'"buried"']


def handing_back(claims: Claims, looker: redis.Redis) -> Case:
    held(claims, looker, "handed back")
    assert (yield claims.give_back) == 0
    assert how_often(looker, "handed back") == 1


def sweeping(claims: Claims, looker: redis.Redis) -> Case:
    dead = Claims(looker)
    dead.take_lease()
    held(dead, looker, "left behind")
    looker.zadd(LEASES, {dead.worker_id: 1})
    assert (yield claims.return_dead) == 1
    assert how_often(looker, "left behind") == 1


def reading_ahead(claims: Claims, _: redis.Redis) -> Case:
    assert isinstance((yield lambda: claims.look(1, batch=1)), list)


def remembering(claims: Claims, _: redis.Redis) -> Case:
    assert (yield Memory(claims._redis).is_lost) is False


def claiming(claims: Claims, looker: redis.Redis) -> Case:
    looker.lpush(URGENT, '"claimed"')
    assert [one.message for one in (yield lambda: claims.claim(1))] == [b'"claimed"']
    assert not looker.llen(URGENT)


WORKERS = (
    taking_a_lease,
    renewing,
    starting,
    counting_deaths,
    settling,
    putting_back,
    demoting,
    burying,
    handing_back,
    sweeping,
    reading_ahead,
    remembering,
    claiming,  # the last, so that its message is still there when it claims
)


def test_every_call_of_a_worker_ends(redis_url: str, redis_client: redis.Redis) -> None:
    """Each runs into its time-out; made again, it is as if it had been made once."""
    for name in NAMES:
        redis_client.script_load(text_of(name))  # or it would be asked for instead of run
    with Proxy(redis_url) as proxy, ExitStack() as stack:
        everybody = [Claims(stack.enter_context(connect(proxy.url))) for _ in WORKERS]
        for claims in everybody:
            claims.take_lease()
            redis_client.zadd(LEASES, {claims.worker_id: FAR})  # however slow this machine is
        cases = [case(claims, redis_client) for case, claims in zip(WORKERS, everybody, strict=True)]
        errors = made_twice(proxy, cases)
    assert {type(error) for error in errors} == {redis.TimeoutError}


def made_twice(proxy: Proxy, cases: Sequence[Case]) -> list[BaseException | None]:
    """How each call ended without an answer, when it has been made again and found to be well."""
    calls = [next(case) for case in cases]
    proxy.silence(up=False)
    with ThreadPoolExecutor(len(calls)) as threads:
        ended = [one.exception(WAIT) for one in [threads.submit(call) for call in calls]]
    proxy.clear(forget=True)
    for case, call in zip(cases, calls, strict=True):
        answer = call()
        with suppress(StopIteration):  # its end
            case.send(answer)
    return ended


def held(claims: Claims, looker: redis.Redis, name: str) -> Claimed:
    """A message of this name that the worker has claimed."""
    looker.lpush(BULK, f'"{name}"')
    (one,) = claims.claim(1)
    return one


def how_often(looker: redis.Redis, name: str) -> int:
    """How many messages of this name wait."""
    waiting: list[Any] = [message for lane in LANES for message in looker.lrange(lane, 0, -1)]
    return sum(b'"%s"' % name.encode() in message for message in waiting)
