"""A run of a few requests in which everything goes wrong that can, in an order that is written down.

The pieces are the real ones, on a real Redis: the client, the scripts, and what workers do with them, here in
one thread. Each piece may be replaced by one with a bug. What happened is judged as after a storm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from bench.checker import Bounds, Violation, stories, violations
from bench.history import Event, History, What, final_event
from bench.witness import appended, events_in, keep_everything, messages_left
from cli.local_redis import LocalRedis
from producer import Client
from protocol.routing import LEASES, RESULT_KEY_PREFIX
from tests.integration.cut_connection import CutConnection
from tests.integration.scripted_pieces import Batch, Producer, Worker
from workers.transport.claims import LANES, Claims, LeaseLost

#: Most requests in a batch of the script: as many as are lost in its one death.
BATCH = 3

#: Seconds after which a request of the script expires that does, and how late its worker looks at it.
EXPIRES, LATE = 60.0, 600.0

#: A port that nobody listens on.
NOBODY = "redis://127.0.0.1:1/0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """What the run is made of."""

    claims: Callable[[redis.Redis], Claims] = Claims
    worker: type[Worker] = Worker
    producer: type[Producer] = Producer


@dataclass(slots=True)
class Stage:
    """Where the run takes place: two workers, a producer, and a stranger's connection."""

    redis: redis.Redis
    one: Worker
    two: Worker
    producer: Producer
    nobody: Client = field(default_factory=lambda: Client(NOBODY))

    def fall_silent(self, worker: Worker) -> None:
        """A worker does not renew its lease in time."""
        self.redis.zadd(LEASES, {worker.claims.worker_id: 1}, xx=True)


def play(server: LocalRedis, pieces: Pieces, folder: Path) -> list[Violation]:
    """Play all acts, and judge what happened."""
    with redis.Redis.from_url(server.url) as client, History(folder / "history.jsonl") as history:
        client.flushall()
        keep_everything(server)
        start = appended(server.folder).stat().st_size
        with told_to(client, history), staged(server.url, pieces, history) as stage:
            for act in ACTS:
                act(stage)
            stage.producer.read()
        history.add(events_in(server.folder, start))
        bounds = Bounds(batch=BATCH, interruptions=1, left=messages_left(client))
        return violations(stories(history.events), bounds)


@contextmanager
def staged(url: str, pieces: Pieces, history: History) -> Iterator[Stage]:
    """Two workers and a producer, with nothing to do yet."""
    with redis.Redis.from_url(url) as stranger, Client(url) as client:
        connections = [CutConnection.from_url(url) for _ in range(2)]
        one, two = (
            pieces.worker(name, connection, pieces.claims(connection))  # type: ignore[arg-type]  # a CutConnection
            for name, connection in zip(("one", "two"), connections, strict=True)
        )
        yield Stage(stranger, one, two, pieces.producer(client, history))
        for connection in connections:
            connection.close()


@contextmanager
def told_to(client: redis.Redis, history: History) -> Iterator[None]:
    """Record what anybody who waits is told meanwhile."""
    with client.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
        channel.psubscribe(RESULT_KEY_PREFIX + "*")
        while channel.get_message(timeout=1.0) is not None or not channel.patterns:
            pass  # until the subscription is confirmed
        yield
        client.publish(RESULT_KEY_PREFIX + "end", "")
        while (message := channel.get_message(timeout=10.0)) and message["data"]:
            event = told(message)
            history.add([event] if event else [])


def told(message: dict[str, Any]) -> Event | None:
    """What one publication says."""
    name = message["channel"].decode().removeprefix(RESULT_KEY_PREFIX)
    return final_event(What.TOLD, name, message["data"])


def calm(stage: Stage) -> None:
    """Nothing goes wrong: a batch of three."""
    stage.producer.submit("a", "b", "c")
    stage.one.claim(3)
    stage.one.work()


def lost_answer_of_a_claim(stage: Stage) -> None:
    """While a batch runs, the next is claimed, its answer is lost, and it is told again."""
    stage.producer.submit("d", "e")
    stage.one.claim(2)
    running = stage.one.begin()
    stage.producer.submit("f", "g")
    with stage.one.connection.cut_after(1):
        stage.one.claim(2)
    stage.one.claim(2)
    following = stage.one.begin()
    for batch in (running, following):
        with suppress(LeaseLost):
            stage.one.finish(batch)


def sweep_of_the_living(stage: Stage) -> None:
    """Another worker looks for the dead, and finds nobody to inherit from."""
    stage.producer.submit("h", "i")
    stage.one.claim(2)
    running = stage.one.begin()
    stage.two.claims.return_dead()
    _two_works_and_one_finishes(stage, running)


def reconnection(stage: Stage) -> None:
    """A worker loses its connection, and finds it again."""
    stage.producer.submit("j", "k")
    stage.one.claim(2)
    running = stage.one.begin()
    stage.one.reconnect()
    _two_works_and_one_finishes(stage, running)


def _two_works_and_one_finishes(stage: Stage, running: Batch) -> None:
    stage.two.claim(2)
    stage.two.work()
    try:
        stage.one.finish(running)
    except LeaseLost:
        stage.one.claims.take_lease()


def death(stage: Stage) -> None:
    """A worker is frozen, another takes over, and the first comes late, with an engine that is gone."""
    stage.producer.submit("l", "m", "n")
    stage.one.claim(3)
    running = stage.one.begin()
    stage.fall_silent(stage.one)
    stage.two.claims.return_dead()
    stage.two.claim(3)
    lost = {"status": "FAILURE", "result": {"exc_type": "EngineLost", "exc_message": ["gone", "ENGINE_LOST"]}}
    with suppress(LeaseLost):
        stage.one.settle(running.members, [lost] * len(running.members))
    stage.two.work()
    stage.one.claims.take_lease()


def death_while_it_settles(stage: Stage) -> None:
    """A worker settles, hears no answer, and dies; the next finds nothing to do."""
    stage.producer.submit("o")
    stage.one.claim(1)
    running = stage.one.begin()
    with stage.one.connection.cut_after(1), suppress(redis.ConnectionError):
        stage.one.finish(running)
    stage.fall_silent(stage.one)
    stage.two.claims.return_dead()
    stage.two.claim(1)
    stage.two.work()
    stage.one.claims.take_lease()


def copied_message(stage: Stage) -> None:
    """Somebody pushes a message twice: it may run twice, and has one result."""
    stage.producer.submit("p")
    message: Any = stage.redis.lindex(LANES[1], 0)
    stage.redis.lpush(LANES[1], message)
    batches = []
    for worker in (stage.one, stage.two):
        worker.claim(1)
        batches.append((worker, worker.begin()))
    for worker, batch in batches:
        worker.finish(batch)


def cancellations(stage: Stage) -> None:
    """One is cancelled while it waits, one while it runs, which is too late."""
    stage.producer.submit("q", "r")
    stage.producer.cancel("q")
    stage.one.claim(2)
    running = stage.one.begin()
    stage.producer.cancel("r")
    stage.one.finish(running)


def expiry(stage: Stage) -> None:
    """A worker comes to a request long after it has expired."""
    stage.producer.submit("s", expires=EXPIRES)
    stage.one.claim(1)
    stage.one.work(LATE)


def junk(stage: Stage) -> None:
    """Between two requests there is something that is none."""
    stage.producer.submit("t")
    stage.redis.lpush(LANES[1], "junk")
    stage.producer.submit("u")
    stage.one.claim(3)
    stage.one.work()


def unanswered_submit(stage: Stage) -> None:
    """A producer does not reach Redis, and does not try again."""
    stage.producer.submit("v", client=stage.nobody)


def conflict(stage: Stage) -> None:
    """A producer submits other audio under an id that is taken."""
    stage.producer.submit("w")
    stage.producer.submit("w", salt=1)
    stage.one.claim(2)
    stage.one.work()


def orderly_end(stage: Stage) -> None:
    """A worker that ends gives back what it has not started."""
    stage.producer.submit("x", "y")
    stage.one.claim(2)
    stage.one.waiting.clear()
    stage.one.claims.give_back()
    stage.two.claim(2)
    stage.two.work()


ACTS = (
    calm,
    lost_answer_of_a_claim,
    sweep_of_the_living,
    reconnection,
    death,
    death_while_it_settles,
    copied_message,
    cancellations,
    expiry,
    junk,
    unanswered_submit,
    conflict,
    orderly_end,
)
