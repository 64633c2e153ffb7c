"""The workers of a storm, and what strikes them at seeded moments."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from bench.processes import children
from cli.leash import Leashed
from protocol.routing import RESULT_KEY_PREFIX

#: How long anything may take once nothing is killed any more, in seconds.
SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do to how many requests; the same seed strikes at the same moments in the same order."""

    requests: int = 2_000
    kills: int = 6
    """SIGKILL of a whole worker, at least one of which always goes on."""
    freezes: int = 0
    """SIGSTOP of a worker for longer than its lease, then SIGCONT."""
    resets: int = 0
    """All connections to Redis cut at once."""
    engine_kills: int = 0
    """SIGKILL of an engine process under its living parent."""
    workers: int = 2
    seed: int = 1
    rate: float = 200.0
    """Requests submitted per second."""


class Crew:
    """The workers, each of which is replaced when it is killed."""

    def __init__(self, redis_url: str, folder: Path, count: int) -> None:
        self._folder = folder
        self._count = count
        self._born = 0
        self._env = {
            **os.environ,
            "REDIS_URL": redis_url,
            "SEGUE_ENGINE": "fake",
            "SEGUE_FAKE_FIXED_MS": "30",
            "SEGUE_FAKE_PER_ROW_MS": "2",
        }
        self.workers: list[Leashed] = []

    def start(self) -> None:
        """Start all, and wait until they take work."""
        self.workers = [self.replacement() for _ in range(self._count)]
        for worker in self.workers:
            worker.wait_for_line(r"ready\.$", SETTLE_SECONDS)

    def replacement(self) -> Leashed:
        """Start one more worker; it takes work as soon as it can."""
        self._born += 1
        name = f"w{self._born}"
        command = [sys.executable, "-m", "celery", "-A", "workers", "worker", "-n", f"{name}@faults"]
        worker = Leashed(
            [*command, "-l", "INFO", "--without-mingle", "--without-gossip"],
            log=self._folder / f"{name}.log",
            env=self._env,
            cwd=self._folder,
        )
        worker.start()
        return worker

    def stop(self) -> None:
        """Stop all that still run."""
        for worker in self.workers:
            worker.stop()

    def executions(self) -> int:
        """Requests in all batches that an engine finished."""
        total = 0
        for log in self._folder.glob("w*.log"):
            for line in log.read_text("utf-8", "replace").splitlines():
                if " batch " in line and " of audio" in line:
                    total += int(line.partition(": batch ")[2].split()[1])
        return total


class Nemesis(threading.Thread):
    """Strikes at seeded moments while requests are being submitted."""

    def __init__(self, plan: Plan, crew: Crew, redis_url: str) -> None:
        super().__init__(name="nemesis", daemon=True)
        self._random = random.Random(plan.seed)
        self._crew = crew
        self._redis = redis.Redis.from_url(redis_url)
        self._length = plan.requests / plan.rate
        kinds: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "reset": self._reset,
            "engine": self._kill_engine,
        }
        counts = {
            "kill": plan.kills,
            "freeze": plan.freezes,
            "reset": plan.resets,
            "engine": plan.engine_kills,
        }
        self._schedule = [kinds[kind] for kind, count in counts.items() for _ in range(count)]
        self._random.shuffle(self._schedule)
        self.strikes = Counter(counts)
        self.recovery_seconds: list[float] = []

    def run(self) -> None:
        """Spread the strikes over the time of the load."""
        pause = self._length / (len(self._schedule) + 1)
        for strike in self._schedule:
            time.sleep(pause * self._random.uniform(0.5, 1.5))
            strike()

    def _kill(self) -> None:
        number = self._random.randrange(len(self._crew.workers))
        victim = self._crew.workers[number]
        held = self._held_by(victim)
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)
        struck_at = time.monotonic()
        self._crew.workers[number] = self._crew.replacement()
        victim.stop()
        self._wait_until_settled(held, struck_at)

    def _freeze(self) -> None:
        victim = self._random.choice(self._crew.workers)
        held = self._held_by(victim)
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGSTOP)
        self._wait_until_settled(held, time.monotonic())
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGCONT)

    def _reset(self) -> None:
        self._redis.client_kill_filter(_type="normal", skipme=True)

    def _kill_engine(self) -> None:
        victim = self._random.choice(self._crew.workers)
        for child in children(victim.pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def _held_by(self, worker: Leashed) -> list[str]:
        """The requests that are marked as started by `worker`."""
        name = worker.log.stem + "@faults"
        keys: list[bytes] = list(self._redis.scan_iter(RESULT_KEY_PREFIX + "*", count=10_000))
        stored: Any = self._redis.mget(keys) if keys else []
        return [
            key.decode()
            for key, meta in zip(keys, stored, strict=True)
            if meta and b'"STARTED"' in meta and name.encode() in meta
        ]

    def _wait_until_settled(self, keys: Sequence[str], struck_at: float) -> None:
        if not keys:
            return
        give_up_at = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < give_up_at:
            stored: Any = self._redis.mget(keys)
            if all(meta and b'"STARTED"' not in meta for meta in stored):
                self.recovery_seconds.append(time.monotonic() - struck_at)
                return
            time.sleep(0.02)
