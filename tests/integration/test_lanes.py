"""Promise: urgent work goes first, what has missed its deadline goes last, and nobody starves."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import redis
from numpy.typing import NDArray

from producer import Client
from protocol.transcript import Transcript
from tests.integration.conftest import StartWorker
from workers.engine.fake import fingerprint
from workers.transport.claims import LANES, Claims

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0


def batch_number(transcript: Transcript) -> int:
    assert transcript.timings is not None
    return int(transcript.timings.batch_id.rpartition("/")[2])


def test_every_lane_has_its_share_of_a_flood(redis_client: redis.Redis) -> None:
    """While urgent work never ends, normal and bulk get one claim in twenty each, and it all the others."""
    urgent, normal, bulk = LANES
    for lane in LANES:
        redis_client.lpush(lane, *[lane] * 400)
    worker = Claims(redis_client)
    worker.take_lease()
    claimed = [one.message.decode() for _ in range(50) for one in worker.claim(8)]
    assert [claimed.count(lane) for lane in (urgent, normal, bulk)] == [360, 20, 20]
    places = [place for place, lane in enumerate(claimed) if lane == bulk]
    assert {later - earlier for earlier, later in pairwise(places)} == {20}


def test_an_empty_lane_costs_nobody_anything(redis_client: redis.Redis) -> None:
    """A turn that nobody uses goes to whoever waits; a claim is as large as what there is."""
    redis_client.lpush(LANES[0], *map(str, range(100)))
    worker = Claims(redis_client)
    worker.take_lease()
    claimed = [one.message.decode() for _ in range(15) for one in worker.claim(7)]
    assert claimed == [str(number) for number in range(100)]


def test_urgent_work_is_seen_by_a_worker_that_holds_a_full_batch(
    start_worker: StartWorker, client: Client, noise: Noise
) -> None:
    """Eight requests that may not share a batch wait for company in a long window: urgent work does not."""
    start_worker(max_batch_size=8, min_batch_size=8, max_batch_wait_ms=60_000)
    waiting = [client.submit(noise(number), beam_size=1 + number % 2) for number in range(8)]
    while client.queue_depth()["normal"]:
        pass
    urgent = client.submit(noise(9), priority="urgent").result(WAIT)
    audio = noise(9).astype(np.float32) / np.float32(32_768)
    assert (urgent.text, batch_number(urgent)) == (fingerprint(audio), 1)
    assert not any(ticket.ready() for ticket in waiting[::2])


def test_who_has_missed_the_deadline_goes_last(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """It is demoted behind bulk, not failed; who can still make it goes before it."""
    late = client.submit(noise(1), priority="urgent", deadline=1)
    begun = redis_client.time()
    while redis_client.time()[0] - begun[0] < 3:
        pass
    tickets = [client.submit(noise(number), priority="bulk") for number in range(2, 5)]
    start_worker(max_batch_size=1)
    numbers = [batch_number(ticket.result(WAIT)) for ticket in tickets]
    assert batch_number(late.result(WAIT)) > max(numbers)
