"""What it costs a producer to enqueue many requests, and to collect many results.

`Client.submit_many` against Celery's `apply_async` in a loop, with 1 000 bytes of payload there and the
shortest audio segment (1 600 bytes) here; and `TicketGroup.results` against `AsyncResult.get` in a loop,
over the very same results, which our worker has stored before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from celery.result import AsyncResult

from bench.contestants import AUDIO, ours, running, stock_sender
from bench.rounds import interleaved, spent
from bench.stock import TASK_NAME
from producer import Client
from producer.ticket import TicketGroup

#: What stands for audio in the message to stock Celery, in bytes.
PAYLOAD_BYTES = 1_000

#: How long the worker may take to start and to compute all results, in seconds.
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitting:
    """Microseconds a request, medians over the rounds."""

    requests: int
    rounds: int
    submit_many: float
    apply_async: float
    results: float
    async_result_get: float

    @property
    def ratios(self) -> dict[str, float]:
        """How many times faster than stock Celery."""
        return {
            "submitting_times_faster": self.apply_async / self.submit_many,
            "collecting_times_faster": self.async_result_get / self.results,
        }


def measure(redis_url: str, folder: Path, *, requests: int = 2_000, rounds: int = 5) -> Submitting:
    """Enqueue on an empty Redis without a worker, then collect what one has computed.

    Raises:
        ResultTimeout: the worker has not computed all.
    """
    with (
        redis.Redis.from_url(redis_url) as connection,
        Client(redis_url) as client,
        stock_sender(redis_url) as app,
    ):
        submitted = _enqueue(client, app, requests, rounds)
        connection.flushall()
        group = client.submit_many([AUDIO] * requests, language="en")
        with running(ours(), redis_url, folder / "ours.log"):
            group.results(PATIENCE_SECONDS)
        collected = _collect(group, app, rounds)
    return Submitting(requests=requests, rounds=rounds, **submitted, **collected)


def _enqueue(client: Client, app: Celery, requests: int, rounds: int) -> dict[str, float]:
    @app.task(name=TASK_NAME)  # type: ignore[untyped-decorator]
    def nothing(**_: object) -> None:
        """Known by name only: nobody runs it."""

    kwargs = {"audio": "x" * PAYLOAD_BYTES}

    def loop() -> None:
        for _ in range(requests):
            nothing.apply_async(kwargs=kwargs)

    def many() -> None:
        client.submit_many([AUDIO] * requests, language="en")

    return _microseconds({"submit_many": many, "apply_async": loop}, requests, rounds)


def _collect(group: TicketGroup, app: Celery, rounds: int) -> dict[str, float]:
    request_ids: Sequence[str] = [ticket.request_id for ticket in group]

    def loop() -> None:
        for request_id in request_ids:
            AsyncResult(request_id, app=app).get(PATIENCE_SECONDS)

    def many() -> None:
        group.results(PATIENCE_SECONDS)

    return _microseconds({"results": many, "async_result_get": loop}, len(group), rounds)


def _microseconds(ways: dict[str, Any], requests: int, rounds: int) -> dict[str, float]:
    timed = interleaved({name: partial(spent, way) for name, way in ways.items()}, rounds, say=lambda _: None)
    return {name: each.seconds / requests * 1e6 for name, each in timed.items()}
