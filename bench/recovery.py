"""How long it takes until what a strike hit is done: from the strike until every request has its result."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import redis

from bench.witness import RUNNING
from protocol.routing import LEASES, inflight_key, result_key

#: How often the results of interrupted requests are looked for, in seconds: short beside a batch.
LOOK_EVERY_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Requests that were running when a strike came."""

    kind: str
    struck_at: float
    keys: tuple[str, ...]
    once: bool = True
    """Whether nothing has struck any of them again since."""


class Recoveries:
    """Watches from a thread of its own; what it found is in `seconds` when the context is left."""

    def __init__(self, redis_url: str, poison: Collection[str]) -> None:
        """`poison` are the requests that engines die of: what these take says nothing about a strike."""
        self._redis = redis.Redis.from_url(redis_url)
        self._poison = poison
        self._watches: list[Watch] = []
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recoveries", daemon=True)
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        """By kind of strike, one for each that hit something."""
        self.seconds_once: defaultdict[str, list[float]] = defaultdict(list)
        """The same for those after which none of the requests was hit again."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._redis.close()

    def running(self, hostname: str = "") -> tuple[str, ...]:
        """The keys of the results that the worker of this name, or any, is computing right now."""
        with suppress(redis.RedisError):
            leases: Any = self._redis.zrange(LEASES, 0, -1)
            records = [self._redis.hget(inflight_key(lease.decode()), RUNNING) for lease in leases]
            names = [name for record in records if isinstance(record, bytes) for name in _ids(record)]
            keys = [result_key(name) for name in names if name not in self._poison]
            started = zip(keys, self._started_by(keys), strict=True)
            return tuple(key for key, by in started if by == hostname or (by and not hostname))
        return ()

    def watch(self, kind: str, keys: Sequence[str]) -> None:
        """A strike of this kind has hit these right now."""
        if keys:
            new = Watch(kind=kind, struck_at=time.monotonic(), keys=tuple(keys))
            with self._lock:
                self._watches = [_struck_by(one, new) for one in self._watches] + [new]

    def _run(self) -> None:
        while not self._ending.wait(LOOK_EVERY_SECONDS):
            with suppress(redis.RedisError):
                self._look()

    def _look(self) -> None:
        with self._lock:
            watches = list(self._watches)
        over = {
            watch.struck_at: time.monotonic() for watch in watches if not any(self._started_by(watch.keys))
        }
        with self._lock:
            for watch in [one for one in self._watches if one.struck_at in over]:
                self._watches.remove(watch)
                seconds = over[watch.struck_at] - watch.struck_at
                self.seconds[watch.kind].append(seconds)
                if watch.once:
                    self.seconds_once[watch.kind].append(seconds)

    def _started_by(self, keys: Sequence[str]) -> list[str]:
        """Who computes each of these; empty for those that have ended."""
        metas: Any = self._redis.mget(keys) if keys else []
        return [_worker(json.loads(meta)) if meta else "" for meta in metas]


def _struck_by(earlier: Watch, later: Watch) -> Watch:
    """What an earlier strike's watch is once a later one has come."""
    return earlier if set(earlier.keys).isdisjoint(later.keys) else replace(earlier, once=False)


def _ids(record: bytes) -> list[str]:
    return record.decode().split()[1::2]


def _worker(meta: dict[str, Any]) -> str:
    return str(meta["result"]["hostname"]) if meta.get("status") == "STARTED" else ""
