"""What is asked of a storm: how many requests, of which kinds, and what strikes when."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class Strike(StrEnum):
    """What can befall the machinery."""

    KILL = "worker killed"
    FREEZE = "worker frozen"
    ENGINE_KILL = "engine killed"
    ENGINE_FREEZE = "engine frozen"
    RESET = "connections cut"
    PAUSE = "Redis paused"
    REDIS_KILL = "Redis killed"
    PARTITION = "worker cut off"
    JUNK = "junk pushed"
    FILL = "Redis full"
    NO_DISK = "disk full"


class Kind(StrEnum):
    """What is special about a request."""

    PLAIN = "plain"
    CRASH = "crash"
    """Its engine process dies of it; the names of this and the next three are their scripts."""
    HANG = "hang"
    REFUSE = "refuse"
    FAIL = "fail"
    TWICE = "twice"
    """Submitted twice with the same id and audio."""
    CONFLICT = "conflict"
    """Submitted again with the same id and other audio."""
    COPY = "copy"
    """Its message is pushed once more, by somebody who knows nothing of us."""
    CANCEL = "cancel"
    EXPIRE = "expire"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do to how many requests; the same seed does the same in the same order."""

    requests: int = 2_000
    kills: int = 6
    """SIGKILL of a whole worker."""
    freezes: int = 0
    """SIGSTOP of a worker for longer than its lease, then SIGCONT."""
    engine_kills: int = 0
    """SIGKILL of an engine process under its living parent."""
    engine_freezes: int = 0
    """SIGSTOP of an engine process, which then hangs until its parent kills it."""
    resets: int = 0
    """All connections to Redis cut at once."""
    pauses: int = 0
    """Redis answers nobody for a while."""
    redis_kills: int = 0
    """SIGKILL of Redis, which is started again from its append-only file."""
    partitions: int = 0
    """A worker cut off from Redis, silently, for `partition_seconds`, then let back in."""
    partition_seconds: float = 15.0
    junk: int = 0
    """Messages pushed that make no sense."""
    fills: int = 0
    """Redis has no memory left for a while, and refuses what needs some."""
    full_disks: int = 0
    """Redis cannot write to its disk for a while, and refuses all writes."""
    crashes: int = 0
    hangs: int = 0
    refusals: int = 0
    """Requests whose outcome is a `RequestError`."""
    failures: int = 0
    """Requests whose batch raises."""
    twice: int = 0
    conflicts: int = 0
    copies: int = 0
    cancels: int = 0
    expiries: int = 0
    workers: int = 2
    seed: int = 1
    rate: float = 200.0
    """Requests submitted per second."""

    @property
    def seconds(self) -> float:
        """How long the load takes."""
        return self.requests / self.rate

    @property
    def strikes(self) -> Counter[Strike]:
        """How many of each."""
        return Counter(
            {
                Strike.KILL: self.kills,
                Strike.FREEZE: self.freezes,
                Strike.ENGINE_KILL: self.engine_kills,
                Strike.ENGINE_FREEZE: self.engine_freezes,
                Strike.RESET: self.resets,
                Strike.PAUSE: self.pauses,
                Strike.REDIS_KILL: self.redis_kills,
                Strike.PARTITION: self.partitions,
                Strike.JUNK: self.junk,
                Strike.FILL: self.fills,
                Strike.NO_DISK: self.full_disks,
            }
        )

    @property
    def special(self) -> Counter[Kind]:
        """How many of each; the rest is plain."""
        return Counter(
            {
                Kind.CRASH: self.crashes,
                Kind.HANG: self.hangs,
                Kind.REFUSE: self.refusals,
                Kind.FAIL: self.failures,
                Kind.TWICE: self.twice,
                Kind.CONFLICT: self.conflicts,
                Kind.COPY: self.copies,
                Kind.CANCEL: self.cancels,
                Kind.EXPIRE: self.expiries,
            }
        )

    @property
    def interruptions(self) -> int:
        """Batches that may have to run again.

        One for each worker or engine that is struck, and three for a request that its engine dies of: once
        in company, twice alone. All of them when Redis is away; when a connection is cut, since a worker
        that does not hear whether its batch may start asks again, and both are on record.
        """
        one_each = self.kills + self.freezes + self.engine_kills + self.engine_freezes + self.partitions
        all_workers = self.workers * (self.redis_kills + self.pauses + self.resets)
        return one_each + all_workers + 3 * (self.crashes + self.hangs)

    def timetable(self) -> list[tuple[float, Strike]]:
        """What strikes when, in seconds from the start: in seeded order, one in each stretch of the load."""
        drawn = random.Random(self.seed)
        strikes = list(self.strikes.elements())
        drawn.shuffle(strikes)
        stretch = self.seconds / max(1, len(strikes))
        return [((number + drawn.random()) * stretch, strike) for number, strike in enumerate(strikes)]

    def kinds(self) -> list[Kind]:
        """The kind of each request, in order.

        Raises:
            ValueError: there are fewer requests than special ones.
        """
        special = list(self.special.elements())
        if len(special) > self.requests:
            raise ValueError(f"{len(special)} special requests of {self.requests}")
        kinds = [*special, *[Kind.PLAIN] * (self.requests - len(special))]
        random.Random(self.seed).shuffle(kinds)
        return kinds
