"""How long it takes until what a strike hit is made good: released, run again, and done.

All from the strike on, and until it is so of every request that was running then.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import redis

from bench.witness import RUNNING
from protocol.routing import LEASES, inflight_key, result_key

#: How often the results of interrupted requests are looked for, in seconds: short beside a batch.
LOOK_EVERY_SECONDS = 0.02


Held = Mapping[str, str]
"""Keys of results of requests that run, and of the records of the workers that run them."""


@dataclass(slots=True, kw_only=True)
class Watch:
    """Requests that were running when a strike came."""

    kind: str
    struck_at: float
    held: Held
    once: bool = True
    """Whether nothing has struck since: a worker may also have held some of them, and not run them yet."""
    unseen: set[str] = field(default_factory=set)
    """Those that have not been seen to run again."""
    released: float | None = None
    """After how many seconds none of them was on record as running where it had been."""
    again: float | None = None
    """After how many seconds each of them had begun to run again, or had ended."""

    def look(self, now: float, running: Collection[tuple[str, str]], started: Collection[str]) -> None:
        """Take note of what is on record now: who runs where, and who has started and not ended."""
        left = {key: record for key, record in self.held.items() if key in started}
        if self.released is None and not any(pair in running for pair in left.items()):
            self.released = now - self.struck_at
        if self.released is not None:
            self.unseen &= set(left) - {key for key, _ in running}
        if self.again is None and not self.unseen and self.released is not None:
            self.again = now - self.struck_at


@dataclass(slots=True, kw_only=True)
class Durations:
    """What the strikes of one kind have taken, in seconds, one for each that hit something."""

    done: list[float] = field(default_factory=list)
    done_once: list[float] = field(default_factory=list)
    """Of those after which nothing else struck until then; as the next two."""
    released_once: list[float] = field(default_factory=list)
    again_once: list[float] = field(default_factory=list)


class Recoveries:
    """Watches from a thread of its own; what it found is in `found` when the context is left."""

    def __init__(self, redis_url: str, poison: Collection[str]) -> None:
        """`poison` are the requests that engines die of: what these take says nothing about a strike."""
        self._redis = redis.Redis.from_url(redis_url)
        self._poison = poison
        self._watches: list[Watch] = []
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recoveries", daemon=True)
        self.found: defaultdict[str, Durations] = defaultdict(Durations)
        """By kind of strike."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._redis.close()

    def running(self, hostname: str = "") -> Held:
        """What the worker of this name, or any, is computing right now."""
        with suppress(redis.RedisError):
            pairs = self._on_record()
            started = self._started_by([key for key, _ in pairs])
            return {key: record for key, record in pairs if _is_by(started.get(key, ""), hostname)}
        return {}

    def watch(self, kind: str, held: Held) -> None:
        """A strike of this kind has hit these right now; maybe nobody."""
        with self._lock:
            for earlier in self._watches:
                earlier.once = False
            if held:
                now = time.monotonic()
                self._watches.append(Watch(kind=kind, struck_at=now, held=dict(held), unseen=set(held)))

    def _run(self) -> None:
        while not self._ending.wait(LOOK_EVERY_SECONDS):
            with suppress(redis.RedisError):
                self._look()

    def _look(self) -> None:
        with self._lock:
            watches = list(self._watches)
        started = self._started_by([key for watch in watches for key in watch.held])
        running = set(self._on_record()) if watches else set()
        now = time.monotonic()
        for watch in watches:
            watch.look(now, running, started)
        with self._lock:
            for watch in [one for one in watches if started.keys().isdisjoint(one.held)]:
                self._watches.remove(watch)
                self._note(watch, now - watch.struck_at)

    def _note(self, watch: Watch, seconds: float) -> None:
        found = self.found[watch.kind]
        found.done.append(seconds)
        if watch.once:
            found.done_once.append(seconds)
            found.released_once.append(seconds if watch.released is None else watch.released)
            found.again_once.append(seconds if watch.again is None else watch.again)

    def _on_record(self) -> list[tuple[str, str]]:
        """The results' keys of all that is on record as running, each with the record; without poison."""
        leases: Any = self._redis.zrange(LEASES, 0, -1)
        records = [inflight_key(lease.decode()) for lease in leases]
        with self._redis.pipeline(transaction=False) as pipe:
            for record in records:
                pipe.hget(record, RUNNING)
            said = pipe.execute() if records else []
        return [
            (result_key(name), record)
            for record, names in zip(records, said, strict=True)
            for name in _ids(names or b"")
            if name not in self._poison
        ]

    def _started_by(self, keys: Sequence[str]) -> dict[str, str]:
        """Who computes each of these, without those that have ended."""
        metas: Any = self._redis.mget(keys) if keys else []
        workers = {
            key: _worker(json.loads(meta)) if meta else "" for key, meta in zip(keys, metas, strict=True)
        }
        return {key: worker for key, worker in workers.items() if worker}


def _is_by(worker: str, hostname: str) -> bool:
    return bool(worker) and hostname in ("", worker)


def _ids(record: bytes) -> list[str]:
    return record.decode().split()[1::2]


def _worker(meta: dict[str, Any]) -> str:
    return str(meta["result"]["hostname"]) if meta.get("status") == "STARTED" else ""
