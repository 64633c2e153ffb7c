"""A Redis that a test may spoil, and workers on it, each behind a proxy of its own."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.proxy import Proxy
from cli.leash import Leashed
from producer import Client
from producer.ticket import Ticket
from protocol.transcript import Status
from workers.engine.fake import fingerprint

#: How long anything may take on a busy machine, in seconds.
WAIT = 60.0

#: Longer than a lease and the sweep after it, in seconds.
LONG = 5.5

Audio = NDArray[np.int16]


class Crew:
    """Workers by name; each batch of 4 takes about 0.3 s, so that most are struck in the middle of one."""

    def __init__(self, redis_url: str, folder: Path, names: Sequence[str], stack: ExitStack) -> None:
        self.proxies = {name: stack.enter_context(Proxy(redis_url)) for name in names}
        self.workers = {name: stack.enter_context(self._worker(name, folder)) for name in names}
        for worker in self.workers.values():
            worker.wait_for_line(r"ready\.$", WAIT)

    def _worker(self, name: str, folder: Path) -> Leashed:
        settings = {"SEGUE_ENGINE": "fake", "SEGUE_FAKE_FIXED_MS": "300", "SEGUE_MAX_BATCH_SIZE": "4"}
        command = [sys.executable, "-m", "celery", "-A", "workers", "worker", "-n", f"{name}@test"]
        return Leashed(
            [*command, "-l", "INFO", "--without-mingle"],
            log=folder / f"{name}.log",
            env={**os.environ, **settings, "REDIS_URL": self.proxies[name].url},
            cwd=folder,
            grace=30,
        )

    def all_live(self) -> bool:
        """Whether no worker has ended."""
        return all(worker.poll() is None for worker in self.workers.values())

    def computed(self) -> int:
        """Requests in all batches that engines have finished so far."""
        sizes = re.findall(r" batch \d+: (\d+) request", "".join(map(self.said, self.workers)))
        return sum(map(int, sizes))

    def computed_since(self, before: int, least: int) -> int:
        """How many more those are by now, once they are so many."""
        wait_until(lambda: self.computed() - before >= least)
        return self.computed() - before

    def said(self, name: str) -> str:
        """The log of a worker."""
        return self.workers[name].log.read_text("utf-8", "replace")


@contextmanager
def crew_on(redis_url: str, folder: Path, *names: str) -> Iterator[Crew]:
    """Workers of these names, ready for work."""
    with ExitStack() as stack:
        yield Crew(redis_url, folder, names, stack)


def audio(number: int) -> Audio:
    """Audio segments that all differ."""
    return np.random.default_rng(number).integers(-8_000, 8_000, 800, dtype=np.int16)


def submit(client: Client, count: int) -> list[Ticket]:
    """Submit so many requests, of which some have started when this returns."""
    tickets = [client.submit(audio(number)) for number in range(count)]
    ids = [ticket.request_id for ticket in tickets]
    wait_until(lambda: not {Status.RUNNING, Status.COMPLETED}.isdisjoint(client.statuses(ids)))
    return tickets


def all_right(tickets: Sequence[Ticket]) -> bool:
    """Wait for the results of `submit`: whether each belongs to its audio."""
    texts = [ticket.result(WAIT).text for ticket in tickets]
    return texts == [
        fingerprint(audio(number).astype(np.float32) / np.float32(32_768)) for number in range(len(tickets))
    ]


def hold(seconds: float = LONG) -> None:
    """Let a fault last: its length is part of the fault, and nothing is expected to be ready after it."""
    threading.Event().wait(seconds)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Look until it is so, for as long as anything may take."""
    give_up_at = time.monotonic() + WAIT
    while not is_so():
        assert time.monotonic() < give_up_at, "it has not come about in time"
