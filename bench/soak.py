"""Whether memory stays where it is: a worker and its Redis over very many requests.

Requests come in blocks. After each block it is waited until Redis has forgotten it, results and ids
included, and only then looked at: what is left would be left for good.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from bench.contestants import AUDIO, ours, running
from bench.processes import children
from producer import Client
from producer.admission import ID_TTLS
from protocol.routing import LEASES

#: Requests after which everything that is made once is there: buffers, caches, connections.
WARM_UP = 10_000

#: Looks at the memory in one run: a leak shows as a slope, not as one high value.
BLOCKS = 20

#: Requests that wait at a time: work for two batches, so that none waits for longer than audio is kept, on a
#: machine as busy as it may be.
AT_A_TIME = 64

#: How long Redis keeps audio that waits, in seconds: longer than so many at a time take, and short, since
#: ids are remembered for several times that, and so are results here, which is waited for after each block.
TTL = 5

#: How long the worker may take to start, so many requests to be done, or Redis to forget, in seconds.
PATIENCE_SECONDS = 120.0

#: How often it is looked whether Redis has forgotten, in seconds.
LOOK_EVERY_SECONDS = 0.5

#: Fields of Redis's ``INFO memory`` that come and go with what is on its way to clients and to its disk: some
#: 100 kB, which is 5 % of a Redis that holds nothing.
PASSING = ("mem_clients_normal", "mem_aof_buffer")

#: Most that anything may grow after the warm-up, as a part of what it was then.
FLAT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was there after so many requests, when all of them were forgotten."""

    requests: int
    parent_bytes: int
    """Resident memory of the worker's parent."""
    engine_bytes: int
    """Resident memory of the engine process."""
    redis_bytes: int
    """Without `PASSING`."""
    keys: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """All looks, and what they say."""

    looks: Sequence[Look]
    keys_before: int
    """With the worker there, and nothing asked of it yet."""

    @property
    def warm(self) -> Look:
        """The first look after the warm-up, or the last there is."""
        return next((look for look in self.looks if look.requests >= WARM_UP), self.looks[-1])

    @property
    def growth(self) -> dict[str, float]:
        """Most that each was above the warm look, as a part of it: 0.05 is 5 %."""
        later = [look for look in self.looks if look.requests >= self.warm.requests]
        names = ("parent_bytes", "engine_bytes", "redis_bytes")
        return {
            name: max(getattr(look, name) for look in later) / getattr(self.warm, name) - 1 for name in names
        }

    @property
    def keys_left(self) -> int:
        """Keys that the last look saw beyond those of the warm one."""
        return self.looks[-1].keys - self.warm.keys

    @property
    def is_flat(self) -> bool:
        """Whether nothing grew by more than `FLAT`, and no key was left."""
        return max(self.growth.values()) <= FLAT and self.keys_left <= 0


def measure(
    redis_url: str, folder: Path, *, requests: int = 200_000, blocks: int = BLOCKS, ttl: int = TTL
) -> Soak:
    """Send `requests` through one worker on an empty Redis; collects every result.

    Raises:
        TranscriptionError: a request failed, or has no result in time.
        TimeoutError: the worker did not start, or Redis has not forgotten a block.
    """
    block = requests // blocks
    looks: list[Look] = []
    with (
        redis.Redis.from_url(redis_url) as connection,
        Client(redis_url, payload_ttl=ttl) as client,
        running(ours(RESULT_TTL=ID_TTLS * ttl), redis_url, folder / "ours.log") as worker,
    ):
        connection.config_set("slowlog-log-slower-than", -1)  # it fills up on a busy machine, to 0.5 MB
        _until(lambda: connection.exists(LEASES) == 1, "the worker has no lease")
        keys_before = _keyspace(connection)["keys"]
        for done in range(block, requests + 1, block):
            _run(client, block)
            looks.append(_look(_forgotten(connection), connection, worker.pid, done))
    return Soak(looks=looks, keys_before=keys_before)


def _run(client: Client, requests: int) -> None:
    for done in range(0, requests, AT_A_TIME):
        some = [AUDIO] * min(AT_A_TIME, requests - done)
        client.submit_many(some, language="en").results(PATIENCE_SECONDS)


def _forgotten(connection: redis.Redis) -> int:
    """Wait until no key has an end any more; how many keys are left."""
    _until(lambda: not _keyspace(connection)["expires"], "Redis has not forgotten everything")
    return _keyspace(connection)["keys"]


def _until(is_so: Callable[[], bool], if_not: str) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{if_not} after {PATIENCE_SECONDS:.0f} s")
        time.sleep(LOOK_EVERY_SECONDS)


def _keyspace(connection: redis.Redis) -> dict[str, int]:
    """How many keys there are, and how many of them expire."""
    said: Any = connection.info("keyspace")
    return dict(said.get("db0", {"keys": 0, "expires": 0}))


def _look(keys: int, connection: redis.Redis, pid: int, requests: int) -> Look:
    said: Any = connection.info("memory")
    return Look(
        requests=requests,
        parent_bytes=resident_bytes(pid),
        engine_bytes=sum(resident_bytes(child) for child in children(pid)),
        redis_bytes=said["used_memory"] - sum(said.get(name, 0) for name in PASSING),
        keys=keys,
    )


def resident_bytes(pid: int) -> int:
    """Resident memory of one process. Linux only."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
