"""A load under a nemesis that kills, freezes and cuts, and a ledger of what became of every request.

An open loop submits seeded audio segments to workers with the fake engine, whose answer is a
fingerprint of the audio, so that a result given to the wrong request is caught. Meanwhile the nemesis
strikes at seeded moments. When the last result is in, every request is accounted for.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import redis
from numpy.typing import NDArray

from bench.nemesis import SETTLE_SECONDS, Crew, Nemesis, Plan
from producer import Client
from protocol.errors import TranscriptionError
from protocol.routing import RESULT_KEY_PREFIX
from protocol.transcript import Transcript
from workers.engine.fake import fingerprint

#: Length of each audio segment, in samples: the shortest there is, since only its identity matters.
SAMPLES = 800

#: Requests submitted in one round trip.
CHUNK = 64


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
