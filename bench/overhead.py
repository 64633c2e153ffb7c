"""What a message costs beside the engine: this worker with a no-op engine against stock Celery, in one run.

Both drain the same number of waiting messages with events and results on; stock Celery as ``solo`` with
late acknowledgement, a prefetch of 64 and a task that does nothing. Counted is the processor time of
all of a worker's processes, which a busy machine distorts less than the wall clock.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import redis
from celery import Celery

from bench.processes import cpu_seconds
from cli.leash import Leashed
from producer import Client
from protocol.routing import RESULT_KEY_PREFIX

#: How often the number of results is looked at, in seconds: short beside a run of some seconds.
LOOK_EVERY_SECONDS = 0.05

#: How long a worker may take to be ready, or all messages to be done, in seconds.
PATIENCE_SECONDS = 180.0

#: The shortest audio segment there is, in samples.
SAMPLES = 800


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run of a worker cost per message."""

    cpu_microseconds: float
    messages_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """Medians over the rounds, and how many times cheaper and faster this worker is."""

    messages: int
    rounds: int
    ours: Cost
    stock: Cost

    @property
    def cheaper(self) -> float:
        """Stock Celery's processor time per message over ours."""
        return self.stock.cpu_microseconds / self.ours.cpu_microseconds

    @property
    def faster(self) -> float:
        """Our messages per second over stock Celery's."""
        return self.ours.messages_per_second / self.stock.messages_per_second


def measure(redis_url: str, folder: Path, *, messages: int = 5_000, rounds: int = 3) -> Overhead:
    """Drain `messages` with each worker in turn, `rounds` times over."""
    ours, stock = [], []
    for number in range(rounds):
        ours.append(_drain_ours(redis_url, folder / f"ours-{number}.log", messages))
        stock.append(_drain_stock(redis_url, folder / f"stock-{number}.log", messages))
    return Overhead(messages=messages, rounds=rounds, ours=_median(ours), stock=_median(stock))


def _drain_ours(redis_url: str, log: Path, messages: int) -> Cost:
    with Client(redis_url) as client:
        client.submit_many([np.zeros(SAMPLES, np.int16)] * messages, language="en")
    settings = {"ENGINE": "fake", "FAKE_FIXED_MS": 0, "FAKE_PER_ROW_MS": 0, "FAKE_PER_AUDIO_SECOND_MS": 0}
    env = {f"SEGUE_{name}": str(value) for name, value in settings.items()}
    env["SEGUE_MAX_BATCH_SIZE"] = "32"
    return _drain("workers", redis_url, log, messages, env)


def _drain_stock(redis_url: str, log: Path, messages: int) -> Cost:
    app = Celery("sender", broker=redis_url, backend=redis_url, set_as_current=False)
    app.config_from_object("celeryconfig")
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for _ in range(messages):
            app.send_task("stock.nothing", kwargs={"audio": "x" * 100}, queue="stock", producer=producer)
    app.close()
    return _drain("bench.stock", redis_url, log, messages, {})


def _drain(app: str, redis_url: str, log: Path, messages: int, env: dict[str, str]) -> Cost:
    """Start a worker on a full queue; count from its first result to its last."""
    command = [sys.executable, "-m", "celery", "-A", app, "worker", "-E", "-l", "WARNING"]
    everywhere = {**os.environ, **env, "REDIS_URL": redis_url}
    with (
        redis.Redis.from_url(redis_url) as connection,
        Leashed([*command, "--without-mingle", "--without-gossip"], log=log, env=everywhere) as worker,
    ):
        first = _wait_for(connection, 1)
        started_at, cpu_before = time.monotonic(), cpu_seconds(worker.pid)
        _wait_for(connection, messages)
        seconds, cpu = time.monotonic() - started_at, cpu_seconds(worker.pid) - cpu_before
        connection.flushall()
    counted = messages - first
    return Cost(cpu_microseconds=cpu / counted * 1e6, messages_per_second=counted / seconds)


def _wait_for(connection: redis.Redis, results: int) -> int:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = sum(1 for _ in connection.scan_iter(RESULT_KEY_PREFIX + "*", count=20_000))
        if found >= results:
            return found
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{found} of {results} results after {PATIENCE_SECONDS:.0f} s")
        time.sleep(LOOK_EVERY_SECONDS)


def _median(costs: list[Cost]) -> Cost:
    return Cost(
        cpu_microseconds=statistics.median(cost.cpu_microseconds for cost in costs),
        messages_per_second=statistics.median(cost.messages_per_second for cost in costs),
    )
