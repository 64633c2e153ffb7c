"""The workers that are compared, engine aside: how each is started, and how messages reach it.

All of them store the same result for each request, keep the same settings of Celery, and acknowledge
late. What is sent to stock Celery is what a request of ours says; the audio itself, which only our
worker reads, comes on top.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from celery import Celery

import celeryconfig
from bench.stock import QUEUE, TASK_NAME
from cli.leash import Leashed
from producer import Client
from protocol.options import Options
from protocol.request import MIN_SAMPLES, Encoding, Payload, Request
from protocol.routing import payload_key
from protocol.transcript import Segment, Timings, Transcript
from protocol.wire import encode_request, encode_transcript

#: Requests in a batch, of ours and of celery-batches.
BATCH_SIZE = 32

#: Messages that stock Celery takes ahead: two batches' worth, and more gains it nothing.
PREFETCH = 64

#: The shortest audio segment there is: what is compared is everything but the work on audio.
AUDIO = np.zeros(MIN_SAMPLES, np.int16)

_ID = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A worker that can be started, and the way to it."""

    command: tuple[str, ...]
    """Without what is the same for all."""
    env: dict[str, str]
    cwd: Path | None
    send: Callable[[str, int], Sequence[str]]
    """Enqueue so many requests on the Redis at a URL, in order; returns their ids."""


def ours(**settings: object) -> Contestant:
    """Segue's worker with a no-op engine; `settings` are names of the environment without ``SEGUE_``."""
    free = {"FAKE_FIXED_MS": 0, "FAKE_PER_ROW_MS": 0, "FAKE_PER_AUDIO_SECOND_MS": 0}
    values = {"ENGINE": "fake", "MAX_BATCH_SIZE": BATCH_SIZE, **free, **settings}
    return Contestant(
        command=(sys.executable, "-m", "celery", "-A", "workers"),
        env={f"SEGUE_{name}": str(value) for name, value in values.items()},
        cwd=None,
        send=_submit,
    )


def stock(pool: str = "solo", prefetch: int = PREFETCH) -> Contestant:
    """Stock Celery with a task that does nothing."""
    return Contestant(
        command=(sys.executable, "-m", "celery", "-A", "bench.stock"),
        env=_told(worker_pool=pool, worker_prefetch_multiplier=prefetch),
        cwd=None,
        send=_send,
    )


def celery_batches(python: Path, folder: Path) -> Contestant:
    """celery-batches with ``mark_as_done``, run by `python` on copies of our files in `folder`."""
    (folder / "bench").mkdir(exist_ok=True)
    for name in ("stock.py", "stock_batches.py"):
        shutil.copy(Path(__file__).with_name(name), folder / "bench")
    return Contestant(
        command=(str(python), "-m", "celery", "-A", "bench.stock_batches"),
        env=_told(worker_pool="solo", worker_prefetch_multiplier=PREFETCH),
        cwd=folder,
        send=_send,
    )


@contextmanager
def running(contestant: Contestant, redis_url: str, log: Path) -> Iterator[Leashed]:
    """The contestant's worker, with events on, for as long as the context lasts."""
    alike = (
        "worker",
        "-E",
        "-l",
        "WARNING",
        "-n",
        f"{log.stem}@bench",
        "--without-mingle",
        "--without-gossip",
    )
    env = {**os.environ, **contestant.env, "REDIS_URL": redis_url}
    with Leashed([*contestant.command, *alike], log=log, env=env, cwd=contestant.cwd) as worker:
        yield worker


@contextmanager
def stock_sender(redis_url: str) -> Iterator[Celery]:
    """Stock Celery as a producer uses it, with the settings that the workers have."""
    app = Celery("sender", broker=redis_url, backend=redis_url, set_as_current=False)
    app.config_from_object("celeryconfig")
    app.conf.task_default_queue = QUEUE
    with closing(app):
        yield app


def message_kwargs() -> dict[str, Any]:
    """What the message of one of our requests says."""
    payload = Payload(encoding=Encoding.PCM, length=len(AUDIO), key=payload_key(_ID))
    options = Options(language="en")
    return encode_request(Request(request_id=_ID, payload=payload, options=options, submitted_at=1.8e9))


def result() -> dict[str, Any]:
    """What our worker stores for one of these requests; digits where it would be measured."""
    text = _ID[:16]
    seconds = len(AUDIO) / 16_000
    timings = Timings(
        queued=0.123456789,
        prepared=0.123456789,
        engine=0.123456789,
        total=0.123456789,
        batch_id="celery@bench/100",
        batch_size=BATCH_SIZE,
        batch_position=0,
        batch_reason="full",
        attempts=1,
        worker="celery@bench",
        batch_wait=0.123456789,
        submitted_at=1.8e9 + 0.123456,
    )
    transcript = Transcript(
        request_id=_ID,
        text=text,
        language="en",
        language_probability=1.0,
        duration=seconds,
        segments=(Segment(id=1, start=0.0, end=seconds, text=text),),
        model="fake",
        timings=timings,
    )
    return encode_transcript(transcript)


def _told(**settings: object) -> dict[str, str]:
    """The environment of `bench.stock`."""
    alike = {name: getattr(celeryconfig, name) for name in dir(celeryconfig) if name[0].islower()}
    return {"BENCH_STOCK": json.dumps({"settings": {**alike, **settings}, "result": result()})}


def _submit(redis_url: str, count: int) -> Sequence[str]:
    with Client(redis_url) as client:
        return [ticket.request_id for ticket in client.submit_many([AUDIO] * count, language="en")]


def _send(redis_url: str, count: int) -> Sequence[str]:
    kwargs = message_kwargs()
    with (
        stock_sender(redis_url) as app,
        app.connection_for_write() as connection,
        app.amqp.Producer(connection) as producer,
    ):
        return [app.send_task(TASK_NAME, kwargs=kwargs, producer=producer).id for _ in range(count)]
