"""What a message costs beside the engine: this worker against stock Celery and celery-batches, in one run.

Each drains the same number of waiting messages, events on and every result stored. Counted is the
processor time of all of a worker's processes, which a busy machine distorts less than the wall clock.
(celery-batches sends no events: that is for it to gain.)
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from bench.contestants import BATCH_SIZE, Contestant, celery_batches, ours, running, stock
from bench.elsewhere import NotInstalled, pins, python_with
from bench.processes import cpu_seconds
from cli.leash import Leashed
from protocol.routing import result_key

#: What the ratios should be at least. Processor time is that of the worker's processes, parent and engine
#: together; what it is with Redis's own is told beside it.
AIMS = {
    "times_cheaper_than_stock": 4.0,
    "times_faster_than_stock": 3.0,
    "times_faster_than_celery_batches": 2.0,
}

#: How often it is looked whether results are there of which the last is, in seconds.
LOOK_EVERY_SECONDS = 0.01

#: How often it is looked whether the worker has ended, in seconds. Its results are told, and not looked for:
#: a hundred looks a second take 4 % of a core (with Redis's part, at a load of 8) which the worker wants, and
#: what holds up one of its engine's threads holds up the batch.
CHECK_EVERY_SECONDS = 1.0

#: How long a worker may take from its start until all messages are done, in seconds.
PATIENCE_SECONDS = 600.0

#: Part of the messages that are done before counting begins, so that no start-up is counted.
WARM_UP = 0.05


class TooFew(ValueError):
    """The worker was too fast to be measured with so few messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a message costs."""

    cpu_microseconds: float
    """Of the worker's processes: ours are the parent and the engine process."""
    redis_microseconds: float
    """Of the Redis server."""
    messages_per_second: float

    @property
    def with_redis(self) -> float:
        """Microseconds of all that a message keeps busy."""
        return self.cpu_microseconds + self.redis_microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """Medians over the rounds, by contestant."""

    messages: int
    rounds: int
    ours: Cost
    stock: Cost
    celery_batches: Cost | None
    absent: str = ""
    """Why celery-batches is not among them."""

    @property
    def ratios(self) -> dict[str, float]:
        """How many times cheaper and faster this worker is."""
        against = {"stock": self.stock, "celery_batches": self.celery_batches}
        ratios: dict[str, float] = {}
        for name, other in against.items():
            if other is not None:
                ratios[f"times_cheaper_than_{name}"] = other.cpu_microseconds / self.ours.cpu_microseconds
                ratios[f"times_cheaper_with_redis_than_{name}"] = other.with_redis / self.ours.with_redis
                ratios[f"times_faster_than_{name}"] = (
                    self.ours.messages_per_second / other.messages_per_second
                )
        return ratios

    @property
    def missed(self) -> list[str]:
        """Which of the aims were not reached, of those that were measured."""
        return [name for name, ratio in self.ratios.items() if ratio < AIMS.get(name, 0.0)]


def measure(redis_url: str, folder: Path, *, messages: int = 5_000, rounds: int = 3) -> Overhead:
    """Drain `messages`, made up to whole batches, with each worker in turn, `rounds` times over.

    Raises:
        TimeoutError: a worker did not get through; the message quotes its log.
        TooFew: a worker was through before it was looked at.
    """
    messages += -messages % BATCH_SIZE
    contestants, absent = _contestants(folder)
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            costs[name].append(drain(contestants[name], redis_url, folder / f"{name}-{number}.log", messages))
    found: Mapping[str, Any] = {"celery_batches": None} | {name: median(each) for name, each in costs.items()}
    return Overhead(messages=messages, rounds=rounds, absent=absent, **found)


def _contestants(folder: Path) -> tuple[dict[str, Contestant], str]:
    """By name; and why one is missing, if it is."""
    contestants = {"ours": ours(), "stock": stock()}
    try:
        contestants["celery_batches"] = celery_batches(python_with(pins()), folder)
    except NotInstalled as error:
        return contestants, f"celery-batches is left out: {error}"
    return contestants, ""


def drain(contestant: Contestant, redis_url: str, log: Path, messages: int) -> Cost:
    """Start a worker on a full queue of an empty Redis; what it cost once it was warm.

    Raises:
        TimeoutError: it did not get through; the message quotes its log.
        TooFew: it was through before it was looked at.
    """
    with redis.Redis.from_url(redis_url) as connection:
        request_ids = contestant.send(redis_url, messages)
        warm = max(1, round(messages * WARM_UP))
        with running(contestant, redis_url, log) as worker:
            _wait_for(connection, request_ids[:warm], worker)
            before = _spent(connection, worker.pid)
            counted = messages - _stored(connection, request_ids)  # of a batch all are done at once
            _wait_for(connection, request_ids, worker)
            after = _spent(connection, worker.pid)
        connection.flushall()
    if not counted:
        raise TooFew(f"{messages} messages are too few: all were done when counting began")
    seconds, cpu, of_redis = (late - early for early, late in zip(before, after, strict=True))
    return Cost(
        cpu_microseconds=cpu / counted * 1e6,
        redis_microseconds=of_redis / counted * 1e6,
        messages_per_second=counted / seconds,
    )


def median(costs: Sequence[Cost]) -> Cost:
    """Of each figure by itself."""
    return Cost(
        cpu_microseconds=statistics.median(cost.cpu_microseconds for cost in costs),
        redis_microseconds=statistics.median(cost.redis_microseconds for cost in costs),
        messages_per_second=statistics.median(cost.messages_per_second for cost in costs),
    )


def _spent(connection: redis.Redis, pid: int) -> tuple[float, float, float]:
    """Seconds so far: of the clock, of the worker's processors, of Redis's."""
    said: Any = connection.info("cpu")
    return time.monotonic(), cpu_seconds(pid), said["used_cpu_user"] + said["used_cpu_sys"]


def _wait_for(connection: redis.Redis, request_ids: Sequence[str], worker: Leashed) -> None:
    """Until all of these have succeeded; messages are taken in order, so the last is waited for first."""
    keys = [result_key(request_id) for request_id in request_ids]
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    with connection.pubsub() as told:  # type: ignore[no-untyped-call]
        told.subscribe(keys[-1])
        told.get_message(timeout=PATIENCE_SECONDS)  # that it is subscribed
        while not (is_last := _done(connection, keys[-1:])) or _done(connection, keys) < len(keys):
            if worker.poll() is not None or time.monotonic() > give_up_at:
                said = worker.log.read_text(encoding="utf-8", errors="replace")[-2_000:]
                found = f"{_done(connection, keys)} of {len(keys)} results"
                raise TimeoutError(f"{found}; the worker said: {said}")
            told.get_message(timeout=LOOK_EVERY_SECONDS if is_last else CHECK_EVERY_SECONDS)


def _stored(connection: redis.Redis, request_ids: Sequence[str]) -> int:
    """How many of these have a result."""
    found: Any = connection.exists(*map(result_key, request_ids))
    return int(found)


def _done(connection: redis.Redis, keys: Sequence[str]) -> int:
    stored: Any = connection.mget(keys)
    return sum(b'"SUCCESS"' in one for one in stored if one)
