"""Promise: workers that are free share what waits, and none looks at, or takes, what another will run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from batching.pulling import share
from producer import Client, Ticket
from protocol.routing import BUSY
from tests.integration.conftest import StartWorker
from workers.transport.claims import LANES, Claims, Share

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0
BATCH = 8

#: A batch that outlives any test here, in seconds; and one that is over at once.
LONG, SHORT = 600.0, 0.0


def workers(connection: redis.Redis, count: int) -> list[Claims]:
    """As many that live."""
    living = [Claims(connection) for _ in range(count)]
    for one in living:
        one.take_lease()
    return living


def queue(connection: redis.Redis, count: int, lane: str = LANES[1]) -> None:
    connection.lpush(lane, *map(str, range(count)))


def claimed(worker: Claims, *, least: int = 1, busy: float = LONG) -> int:
    return len(worker.claim(BATCH, share=Share(least=least, busy=busy)))


@pytest.mark.parametrize("waiting", [1, 2, 5, 8, 9, 12, 13, 16, 17, 40])
@pytest.mark.parametrize("free", [1, 2, 3])
def test_script_shares_as_the_policy_does(redis_client: redis.Redis, waiting: int, free: int) -> None:
    """What the simulator says of `batching.pulling.share` holds for the script, which must be one step."""
    first, *_ = workers(redis_client, free)
    queue(redis_client, waiting)
    assert claimed(first) == share(waiting, free, BATCH)


def test_busy_workers_get_no_share(redis_client: redis.Redis) -> None:
    """Who claims is busy for as long as it said; then it counts as free again."""
    first, second, third = workers(redis_client, 3)
    queue(redis_client, 6)
    assert claimed(first) == 2
    assert claimed(second, busy=SHORT) == 2  # of 4, for itself and the third
    assert claimed(third) == 1  # of 2, for itself and the second, whose batch is over


def test_a_worker_takes_what_its_batch_waits_for(redis_client: redis.Redis) -> None:
    """A share that would only wait for company is no use to anybody."""
    first, *_ = workers(redis_client, 4)
    queue(redis_client, 6)
    assert claimed(first, least=5) == 5


def test_a_busy_worker_takes_nothing_from_a_free_one(redis_client: redis.Redis) -> None:
    """One that claims early, before its batch has ended, takes only what nobody else is free to run (B6)."""
    first, second = workers(redis_client, 2)
    queue(redis_client, 20)
    assert claimed(first) == BATCH
    assert claimed(first, least=0) == 0
    assert claimed(second) == BATCH
    assert claimed(first, least=0) == 4


def test_the_dead_get_no_share_and_leave_no_trace(redis_client: redis.Redis) -> None:
    """A worker that has stopped is not waited for; one that finds nothing is free."""
    first, second = workers(redis_client, 2)
    queue(redis_client, 2)
    assert (claimed(second), claimed(first)) == (1, 1)
    second.give_back()
    assert (claimed(first), claimed(first)) == (1, 0)
    assert redis_client.zscore(BUSY, first.worker_id) is None


def test_a_look_takes_nothing(redis_client: redis.Redis) -> None:
    """It shows what would be claimed, in that order, and all of it is there afterwards."""
    (worker,) = workers(redis_client, 1)
    redis_client.lpush(LANES[2], "b1", "b2", "b3")
    redis_client.lpush(LANES[1], "n1", "n2")
    redis_client.lpush(LANES[0], "u1")
    shown = worker.look(5, batch=BATCH)
    assert shown == [(1, b"u1"), (2, b"n1"), (2, b"n2"), (3, b"b1"), (3, b"b2")]
    assert worker.look(0, batch=BATCH) == []
    assert [one.message for one in worker.claim(BATCH)] == [*(one.message for one in shown), b"b3"]


def test_a_look_passes_over_what_others_will_take(redis_client: redis.Redis) -> None:
    """Each worker that is free before this one takes a batch first; later ones do not matter."""
    early, middle, late = workers(redis_client, 3)
    queue(redis_client, 3 * 2 + 6)
    for worker, busy in ((early, LONG), (middle, 2 * LONG), (late, 3 * LONG)):
        worker.claim(2, share=Share(least=2, busy=busy))
    shown = [[one.message for one in worker.look(3, batch=2)] for worker in (early, middle, late)]
    assert shown == [[b"6", b"7", b"8"], [b"8", b"9", b"10"], [b"10", b"11"]]


def who_ran(tickets: Iterable[Ticket]) -> Counter[str]:
    """How many of these requests each worker ran."""
    return Counter(one.timings.worker for one in (ticket.result(WAIT) for ticket in tickets) if one.timings)


def test_a_burst_is_shared_by_two_idle_workers(
    start_worker: StartWorker, client: Client, noise: Noise
) -> None:
    """Eight requests at once make two batches of four, side by side, and everything after is run as well."""
    cost = {"fake_fixed_ms": 2_000, "fake_per_row_ms": 0, "fake_per_audio_second_ms": 0}
    for name in ("one", "two"):
        start_worker(name, min_batch_size=1, max_batch_wait_ms=0, max_batch_size=BATCH, **cost)
    while len(who_ran(client.submit_many([noise(1), noise(2)]))) < 2:  # until both look for work
        pass
    burst = client.submit_many([noise(number) for number in range(BATCH)])
    assert who_ran(burst) == {"one@test": 4, "two@test": 4}
    more = client.submit_many([noise(100 + number) for number in range(5 * BATCH)])
    assert who_ran(more).keys() == {"one@test", "two@test"}
