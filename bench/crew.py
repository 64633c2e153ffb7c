"""The workers of a storm: real processes with the fake engine, each replaced when it is killed."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.proxy import Proxy
from cli.leash import DidNotStart, Leashed

#: How long anything may take once nothing is struck any more, in seconds: starts of processes on a busy
#: machine, a lease, and the three deaths of a request that hangs.
SETTLE_SECONDS = 120.0

#: Most requests in a batch: the workers' default, said here because what may run again depends on it.
BATCH = 8

#: What such a batch takes, in seconds: 30 ms, and 2 for each of its requests.
BATCH_SECONDS = 0.046

#: A batch of 8 takes 46 ms, so a worker has something to lose most of the time and two cores suffice for
#: three workers; one that takes 4 s hangs, which no busy machine does to a sleep of 46 ms.
SETTINGS = {
    "SEGUE_ENGINE": "fake",
    "SEGUE_FAKE_FIXED_MS": "30",
    "SEGUE_FAKE_PER_ROW_MS": "2",
    "SEGUE_MAX_BATCH_SIZE": str(BATCH),
    "SEGUE_BATCH_TIMEOUT": "4",
}


class Crew:
    """Workers by number; whoever takes the place of another has its number and its way to Redis."""

    def __init__(self, redis_url: str, folder: Path, count: int) -> None:
        self._folder = folder
        self._born = 0
        self._ready: set[Path] = set()
        self.exits = 0
        """Workers that ended by themselves, though they had been ready."""
        self._running = ExitStack()
        self.proxies = [Proxy(redis_url) for _ in range(count)]
        self.workers: list[Leashed] = []

    def __enter__(self) -> Self:
        try:
            for proxy in self.proxies:
                self._running.enter_context(proxy)
            self._running.callback(self._stop)
            self.workers = [self._start(number) for number in range(len(self.proxies))]
            for worker in self.workers:
                worker.wait_for_line(r"ready\.$", SETTLE_SECONDS)
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def replace(self, number: int) -> None:
        """Start another in the place of a worker that was killed; it takes work as soon as it can."""
        killed, self.workers[number] = self.workers[number], self._start(number)
        killed.stop()

    def revive(self) -> None:
        """Start another in the place of each that has ended by itself, as a supervisor does.

        One that finds no Redis when it starts may end; one that has been ready may not.
        """
        for number, worker in enumerate(self.workers):
            if worker.poll() is not None:
                self.exits += self.is_ready(number)
                self.replace(number)

    def is_ready(self, number: int) -> bool:
        """Whether a worker takes work."""
        worker = self.workers[number]
        if worker.log not in self._ready:
            try:
                worker.wait_for_line(r"ready\.$", 0.0)
            except DidNotStart:
                return False
            self._ready.add(worker.log)
        return True

    def hostname(self, number: int) -> str:
        """By which results name a worker."""
        return f"{self.workers[number].log.stem}@faults"

    def _start(self, number: int) -> Leashed:
        self._born += 1
        log = self._folder / f"w{self._born}.log"
        command = [sys.executable, "-m", "celery", "-A", "workers", "worker", "-n", f"{log.stem}@faults"]
        worker = Leashed(
            [*command, "-l", "INFO", "--without-mingle", "--without-gossip"],
            log=log,
            env={**os.environ, **SETTINGS, "REDIS_URL": self.proxies[number].url},
            cwd=self._folder,
        )
        worker.start()
        return worker

    def _stop(self) -> None:
        for worker in self.workers:
            worker.stop()
