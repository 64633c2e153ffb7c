"""Real worker processes over a real Redis, started for the test that asks for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import redis
from celery import Celery
from numpy.typing import NDArray

from cli.leash import Leashed
from producer import Client
from tests.redis_users import as_user

#: How long a worker may take until it takes work, in seconds: an import of Celery and an engine process
#: on a busy machine.
READY_SECONDS = 60.0

StartWorker = Callable[..., Leashed]


@pytest.fixture
def start_worker(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> Iterator[StartWorker]:
    """Start a worker with these environment settings (`SEGUE_…` without the prefix), ready for work."""
    with ExitStack() as running:

        def start(name: str = "w", **settings: object) -> Leashed:
            env = {**os.environ, "REDIS_URL": redis_url, "SEGUE_ENGINE": "fake"}
            env |= {f"SEGUE_{key.upper()}": str(value) for key, value in settings.items()}
            command = [sys.executable, "-m", "celery", "-A", "workers", "worker", "-n", f"{name}@test"]
            worker = Leashed(
                [*command, "-l", "INFO", "--without-mingle"],
                log=tmp_path / f"{name}.log",
                env=env,
                cwd=tmp_path,
                grace=30,
            )
            running.enter_context(worker)
            worker.wait_for_line(r"ready\.$", READY_SECONDS)
            return worker

        yield start


#: A class whose audio is the text that it was given, so many times as its model is loud.
SPEAKER = """
from workers.engine.base import Engine, Heard

LOUDNESS = {"loud": 1, "louder": 1_000_000}


class Speaker(Engine):
    takes = ("text",)

    def __init__(self, model, **how):
        self.model = model

    def load(self):
        self.times = LOUDNESS[self.model]

    def run(self, rows):
        return [Heard(text=row.text, audio=self.said(row.text)) for row in rows]

    def said(self, text):
        return None if text == "mute" else text.encode() * self.times
"""


@pytest.fixture
def start_speaker(start_worker: StartWorker, tmp_path: Path) -> StartWorker:
    """As `start_worker`, with an engine that speaks."""
    (tmp_path / "speaker.py").write_text(SPEAKER)
    return partial(start_worker, engine="speaker:Speaker")


@pytest.fixture
def client(redis_url: str, redis_client: redis.Redis) -> Iterator[Client]:
    """The real client on the tests' Redis."""
    with Client(as_user(redis_url, "producer")) as made:
        yield made


@pytest.fixture
def celery_app(redis_url: str, redis_client: redis.Redis) -> Iterator[Celery]:
    """Stock Celery, as somebody uses it who has never heard of our client."""
    app = Celery("stock", broker=redis_url, backend=redis_url, set_as_current=False)
    app.config_from_object("celeryconfig")
    yield app
    app.close()


def wait_until_it_listens(app: Celery) -> None:
    """Wait until a worker answers: what is broadcast reaches it from the first turn of its loop on, shortly
    after it is ready."""
    while not app.control.inspect(timeout=1, limit=1).ping():
        pass


def lives(client: redis.Redis, key: str, seconds: int) -> bool:
    """Whether a key was given so many seconds, a while ago on a busy machine."""
    return 0 <= seconds - int(client.ttl(key)) < 30


@pytest.fixture
def noise() -> Callable[..., NDArray[np.int16]]:
    """Audio segments that all differ: seeded noise of a given length in seconds."""

    def make(seed: int, seconds: float = 0.5) -> NDArray[np.int16]:
        return np.random.default_rng(seed).integers(-8_000, 8_000, round(seconds * 16_000), dtype=np.int16)

    return make
