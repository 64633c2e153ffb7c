"""Strikes workers, engines, Redis and the way between them at seeded moments."""

from __future__ import annotations

import os
import random
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from heapq import heapify, heappop, heappush
from itertools import count

import redis

from bench.crew import SETTLE_SECONDS, Crew
from bench.processes import children
from bench.recovery import Recoveries
from bench.resuming import Resuming
from bench.storm import Plan, Strike
from cli.local_redis import LocalRedis
from workers.transport.claims import LANES, LEASE_SECONDS

#: How long a frozen worker stands still, in seconds: longer than its lease and a sweep, so that another has
#: what it held.
FREEZE_SECONDS = LEASE_SECONDS + 2.0

#: How long Redis answers nobody, in ms: longer than the time-out of the workers' calls (2 s), shorter than
#: their lease.
PAUSE_MS = 2_500

#: How long Redis, or its disk, is full, in seconds: several attempts of everything that is tried again, and
#: less than a lease.
FULL_SECONDS = 2.5

#: How soon a strike that finds nobody to hit is tried again, in seconds.
AGAIN_SECONDS = 0.1

#: What a stranger may push on a queue.
JUNK = (b"", b"\xff\x00junk", b"null", b"{}", b"[" * 5_000, b'{"headers": {}, "properties": []}')


class Nemesis(threading.Thread):
    """Strikes while requests are being submitted, and undoes in the end what can be undone."""

    def __init__(
        self, plan: Plan, crew: Crew, server: LocalRedis, recoveries: Recoveries, resuming: Resuming
    ) -> None:
        super().__init__(name="nemesis", daemon=True)
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._crew = crew
        self._server = server
        self._recoveries = recoveries
        self._resuming = resuming
        self._redis = redis.Redis.from_url(server.url)
        self._order = count()
        self._away: set[int] = set()
        self._has_disk = True
        self.struck: Counter[str] = Counter()
        self._kinds: dict[Strike, Callable[[], bool]] = {
            Strike.KILL: self._kill,
            Strike.FREEZE: self._freeze,
            Strike.ENGINE_KILL: lambda: self._strike_engine(Strike.ENGINE_KILL, signal.SIGKILL),
            Strike.ENGINE_FREEZE: lambda: self._strike_engine(Strike.ENGINE_FREEZE, signal.SIGSTOP),
            Strike.RESET: self._reset,
            Strike.PAUSE: self._pause,
            Strike.REDIS_KILL: self._kill_redis,
            Strike.PARTITION: self._partition,
            Strike.JUNK: self._push_junk,
            Strike.FILL: self._fill,
            Strike.NO_DISK: self._fill_disk,
        }
        self._agenda: list[tuple[float, int, Callable[[], None]]] = [
            (at, next(self._order), self._trying(strike)) for at, strike in plan.timetable()
        ]
        heapify(self._agenda)

    def run(self) -> None:
        """Keep the agenda, to which some strikes add their own end."""
        self._began_at = time.monotonic()
        give_up_at = 2 * self._plan.seconds + SETTLE_SECONDS
        while self._agenda and self._now() < give_up_at:
            at, _, act = heappop(self._agenda)
            self._crew.revive()
            time.sleep(max(0.0, at - self._now()))
            act()
        self._redis.close()

    def _now(self) -> float:
        return time.monotonic() - self._began_at

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        heappush(self._agenda, (self._now() + seconds, next(self._order), act))

    def _trying(self, strike: Strike) -> Callable[[], None]:
        """Strike, or try again soon: when nobody is ready, or Redis is away."""

        def act() -> None:
            with suppress(redis.RedisError):
                if self._kinds[strike]():
                    self.struck[strike] += 1
                    return
            self._after(AGAIN_SECONDS, act)

        return act

    def _victim(self) -> int | None:
        """A worker that takes work; None if no other would be left, except where there is only one."""
        numbers = range(len(self._crew.workers))
        ready = [one for one in numbers if one not in self._away and self._crew.is_ready(one)]
        return self._random.choice(ready) if len(ready) >= min(2, len(numbers)) else None

    def _kill(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        held = self._recoveries.running(self._crew.hostname(victim))
        _send(self._crew.workers[victim].pid, signal.SIGKILL)
        self._recoveries.watch(Strike.KILL, held)
        self._crew.replace(victim)
        return True

    def _freeze(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        held = self._recoveries.running(self._crew.hostname(victim))
        pid = self._crew.workers[victim].pid
        _send(pid, signal.SIGSTOP)
        self._recoveries.watch(Strike.FREEZE, held)
        self._take_away(victim, FREEZE_SECONDS, lambda: _send(pid, signal.SIGCONT))
        return True

    def _strike_engine(self, strike: Strike, number: signal.Signals) -> bool:
        victim = self._victim()
        engines = children(self._crew.workers[victim].pid) if victim is not None else []
        if victim is None or not engines:
            return False
        held = self._recoveries.running(self._crew.hostname(victim))
        for engine in engines:
            _send(engine, number)
        self._recoveries.watch(strike, held)
        return True

    def _partition(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        held = self._recoveries.running(self._crew.hostname(victim))
        proxy = self._crew.proxies[victim]
        proxy.silence()
        self._recoveries.watch(Strike.PARTITION, held)

        def heal() -> None:
            proxy.clear()
            self._resuming.ended(Strike.PARTITION, self._crew.hostname(victim))

        self._take_away(victim, self._plan.partition_seconds, heal)
        return True

    def _reset(self) -> bool:
        held = self._recoveries.running()
        self._resuming.began(lasts=False)
        self._redis.client_kill_filter(_type="normal", skipme=True)
        self._recoveries.watch(Strike.RESET, held)
        return True

    def _pause(self) -> bool:
        held = self._recoveries.running()
        self._redis.client_pause(PAUSE_MS)
        self._resuming.began(lasts=True)
        self._recoveries.watch(Strike.PAUSE, held)
        self._after(PAUSE_MS / 1_000, lambda: self._resuming.ended(Strike.PAUSE, lasted=True))
        return True

    def _kill_redis(self) -> bool:
        """Not while its disk is full: what it accepts in the moment in which that begins it cannot keep."""
        if not self._has_disk:
            return False
        held = self._recoveries.running()
        self._resuming.began(lasts=True)
        _send(self._server.pid, signal.SIGKILL)
        self._recoveries.watch(Strike.REDIS_KILL, held)
        self._server.start()
        self._resuming.ended(Strike.REDIS_KILL, lasted=True)
        return True

    def _push_junk(self) -> bool:
        self._redis.lpush(self._random.choice(LANES), self._random.choice(JUNK))
        self._resuming.ended(Strike.JUNK)
        return True

    def _fill(self) -> bool:
        self._redis.config_set("maxmemory", "1mb")
        self._undo_in(FULL_SECONDS, Strike.FILL, lambda: self._redis.config_set("maxmemory", "0"))
        return True

    def _fill_disk(self) -> bool:
        """No file of Redis may grow any more; it was started so that this is an error and no signal."""
        pid = int(self._redis.info("server")["process_id"])
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
        self._has_disk = False

        def mend() -> None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
            self._has_disk = True

        self._undo_in(FULL_SECONDS, Strike.NO_DISK, mend)
        return True

    def _undo_in(self, seconds: float, strike: Strike, undo: Callable[[], object]) -> None:
        """Undo it, again until Redis takes it, and ask for a result from then on."""
        self._resuming.began(lasts=True)
        self._recoveries.watch(strike, {})

        def act() -> None:
            try:
                undo()
            except redis.RedisError:
                self._after(AGAIN_SECONDS, act)
            else:
                self._resuming.ended(strike, lasted=True)

        self._after(seconds, act)

    def _take_away(self, victim: int, seconds: float, undo: Callable[[], None]) -> None:
        """Leave a worker alone until what befell it has been undone."""
        self._away.add(victim)

        def bring_back() -> None:
            undo()
            self._away.discard(victim)

        self._after(seconds, bring_back)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
