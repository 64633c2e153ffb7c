"""The servers of the demo: Redis, Flower and a worker at a time, each ending with the demo."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.demo.run import RunFailed
from cli.flower import flower_command
from cli.leash import Leashed
from cli.local_redis import LocalRedis
from cli.presence import worker_answers
from cli.worker import worker_command
from producer import Client

EMBEDDED = "embedded"

#: How long a server may take to start, in seconds; on two busy cores the worker takes about 5.
START_SECONDS = 60.0

#: Settings of the demo's worker: those of the product, with the packaged model.
DEMO_SETTINGS = {"SEGUE_ENGINE": "faster-whisper", "SEGUE_MODEL": "demo", "SEGUE_DEVICE": "cpu"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which Redis the demo uses, and the environment in which its processes run."""

    redis: str
    environ: Mapping[str, str]
    """Without what the user has set for workers of his own."""

    def client(self) -> Client:
        """A new client of this Redis."""
        return Client(self.environ["REDIS_URL"] if self.redis == EMBEDDED else None)


@contextmanager
def redis_for_demo(folder: Path) -> Iterator[Place]:
    """The Redis of REDIS_URL, or one of our own.

    Raises:
        RunFailed: the given Redis is in use, so the demo would disturb others and be disturbed.
        QueueUnreachable: the given Redis does not answer.
        NoServer, DidNotStart: there is none of our own.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    if environ.get("REDIS_URL"):
        _check_unused()
        yield Place(redis="REDIS_URL", environ=environ)
        return
    environ.pop("REDIS_PASSWORD_FILE", None)
    with LocalRedis(folder / "redis") as server:
        yield Place(redis=EMBEDDED, environ={**environ, "REDIS_URL": server.url})


@contextmanager
def flower_for_demo(folder: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Flower on a free port of this machine; gives its address."""
    command = flower_command("127.0.0.1", 0, [])
    with Leashed(command, log=folder / "flower.log", env=environ, cwd=folder) as flower:
        yield flower.wait_for_line(r"Visit me at (http://\S+)", START_SECONDS)[1]


@contextmanager
def worker_for_demo(
    name: str, folder: Path, environ: Mapping[str, str], **settings: str
) -> Iterator[Leashed]:
    """A worker whose model is loaded, with these further settings."""
    command = worker_command("INFO", ["--hostname", f"{name}@%h"])
    environ = {**environ, **DEMO_SETTINGS, **settings}
    with Leashed(command, log=folder / f"worker-{name}.log", env=environ, cwd=folder) as worker:
        worker.wait_for_line(r" ready\.$", START_SECONDS)
        yield worker


def check_running(worker: Leashed) -> None:
    """Raise `RunFailed` if the worker has ended."""
    if (status := worker.poll()) is not None:
        raise RunFailed(f"the worker ended with status {status}; its log is {worker.log}")


def _check_unused() -> None:
    with Client() as client:
        waiting = sum(client.queue_depth().values())
    if waiting:
        raise RunFailed(f"requests wait at REDIS_URL already ({waiting}): give the demo a Redis of its own")
    if worker_answers():
        raise RunFailed("a worker is at REDIS_URL already: give the demo a Redis of its own")
