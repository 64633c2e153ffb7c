"""A load under a nemesis that kills, freezes and cuts, and a ledger of what became of every request.

An open loop submits seeded audio segments to workers with the fake engine, whose answer is a
fingerprint of the audio, so that a result given to the wrong request is caught. Meanwhile the nemesis
strikes at seeded moments. When the last result is in, every request is accounted for.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from cli.leash import Leashed
from producer import Client
from protocol.errors import TranscriptionError
from protocol.routing import RESULT_KEY_PREFIX
from protocol.transcript import Transcript
from workers.engine.fake import fingerprint

#: Length of each audio segment, in samples: the shortest there is, since only its identity matters.
SAMPLES = 800

#: How long the last result may take to come once nothing is killed any more, in seconds.
SETTLE_SECONDS = 60.0

#: Requests submitted in one round trip.
CHUNK = 64


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


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What became of the requests."""

    submitted: int = 0
    succeeded: int = 0
    failed: int = 0
    lost: int = 0
    """No result, though nothing is killed any more."""
    doubled: int = 0
    """More than one result was told for the same request."""
    wrong: int = 0
    """A result that belongs to other audio."""
    recomputed: int = 0
    """Results that were computed again, beyond one each."""
    seconds: float = 0.0
    strikes: dict[str, int] = field(default_factory=dict)
    recovery_seconds: list[float] = field(default_factory=list)
    """For each killed or frozen worker: from the strike until another had settled all that it held."""

    @property
    def is_clean(self) -> bool:
        """Whether every request ended exactly once, in its own result."""
        return not (self.lost or self.doubled or self.wrong or self.failed)


def run(plan: Plan, redis_url: str, folder: Path) -> Ledger:
    """Run the plan on an empty Redis at `redis_url`; logs go to `folder`."""
    with ExitStack() as stack:
        crew = Crew(redis_url, folder, plan.workers)
        stack.callback(crew.stop)
        crew.start()
        told = stack.enter_context(Told(redis_url))
        client = stack.enter_context(Client(redis_url))
        started_at = time.monotonic()
        nemesis = Nemesis(plan, crew, redis_url)
        nemesis.start()
        audios = _submit(plan, client)
        nemesis.join()
        ledger = _account(audios, client)
        ledger.seconds = time.monotonic() - started_at
        crew.stop()
        ledger.doubled = sum(len(results) > 1 for results in told.results.values())
        ledger.recomputed = crew.executions() - ledger.succeeded
        ledger.strikes = dict(nemesis.strikes)
        ledger.recovery_seconds = nemesis.recovery_seconds
    return ledger


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
        for child in _children(victim.pid):
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


class Told(threading.Thread):
    """Hears every result that is told, to notice a second one."""

    def __init__(self, redis_url: str) -> None:
        super().__init__(name="told", daemon=True)
        self._redis_url = redis_url
        self._ending = threading.Event()
        self.results: dict[str, set[str]] = defaultdict(set)

    def __enter__(self) -> Told:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.join()

    def run(self) -> None:
        """Listen, through connections that the nemesis may cut."""
        while not self._ending.is_set():
            with suppress(redis.RedisError):
                self._listen()

    def _listen(self) -> None:
        channel = redis.Redis.from_url(self._redis_url).pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        channel.psubscribe(RESULT_KEY_PREFIX + "*")
        while not self._ending.is_set():
            message = channel.get_message(timeout=0.2)
            meta = json.loads(message["data"]) if message else {}
            if meta.get("status") == "SUCCESS":
                receipt = meta["result"]["timings"]
                self.results[meta["task_id"]].add(f"{meta['result']['text']} {receipt['batch_id']}")


def _submit(plan: Plan, client: Client) -> dict[str, NDArray[np.int16]]:
    """Submit at the plan's rate, whatever becomes of it; every audio segment is different."""
    generator = np.random.default_rng(plan.seed)
    audios: dict[str, NDArray[np.int16]] = {}
    started_at = time.monotonic()
    while len(audios) < plan.requests:
        count = min(CHUNK, plan.requests - len(audios))
        ids = [f"f{plan.seed}-{len(audios) + number}" for number in range(count)]
        chunk = [generator.integers(-9_000, 9_000, SAMPLES, dtype=np.int16) for _ in ids]
        _submit_until_accepted(client, chunk, ids)
        audios.update(zip(ids, chunk, strict=True))
        time.sleep(max(0.0, started_at + len(audios) / plan.rate - time.monotonic()))
    return audios


def _submit_until_accepted(client: Client, chunk: list[NDArray[np.int16]], ids: list[str]) -> None:
    while True:
        try:
            client.submit_many(chunk, request_ids=ids)
        except TranscriptionError as error:
            if not error.retryable:
                raise
        else:
            return


def _account(audios: dict[str, NDArray[np.int16]], client: Client) -> Ledger:
    ledger = Ledger(submitted=len(audios))
    give_up_at = time.monotonic() + SETTLE_SECONDS
    for request_id, audio in audios.items():
        try:
            transcript: Transcript = client.result(
                request_id, timeout=max(0.0, give_up_at - time.monotonic())
            )
        except TimeoutError:
            ledger.lost += 1
        except TranscriptionError:
            ledger.failed += 1
        else:
            ledger.succeeded += 1
            ledger.wrong += transcript.text != fingerprint(audio.astype(np.float32) / np.float32(32_768))
    return ledger


def _children(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    return [int(child) for child in listed.split()]
