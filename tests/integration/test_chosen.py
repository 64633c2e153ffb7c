"""Promise: a worker chooses its next batch among what waits, claims just that, and leaves nobody behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from producer import Client, Ticket
from protocol.transcript import Timings
from tests.integration.conftest import StartWorker
from tests.integration.outage import wait_until

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0
SIZE = 4

#: A batch outlasts the submits and the look at what comes next.
COST = {"fake_fixed_ms": 500, "fake_per_row_ms": 0, "fake_per_audio_second_ms": 0}

#: Requests with other beams do not share a batch.
KINDS = [1, 2] * SIZE


def receipt(ticket: Ticket) -> Timings:
    timings = ticket.result(WAIT).timings
    assert timings is not None
    return timings


def number(ticket: Ticket) -> int:
    """Which of its worker's batches a request ran in."""
    return int(receipt(ticket).batch_id.rpartition("/")[2])


def test_those_that_share_a_batch_are_claimed_together(
    start_worker: StartWorker, client: Client, noise: Noise
) -> None:
    """Of two kinds that come in turns each makes a full batch; what is urgent goes before both."""
    start_worker("one", min_batch_size=1, max_batch_size=SIZE, **COST | {"fake_per_audio_second_ms": 200})
    first = client.submit(noise(0, 25))  # which gives the submits 5 s
    wait_until(lambda: first.status == "running")
    tickets = [client.submit(noise(1 + place), beam_size=beam) for place, beam in enumerate(KINDS)]
    urgent = client.submit(noise(50), beam_size=3, priority="urgent")
    assert number(urgent) == number(first) + 1
    assert [receipt(one).batch_size for one in tickets] == [SIZE] * len(tickets)
    ran = Counter((number(one), beam) for one, beam in zip(tickets, KINDS, strict=True))
    assert ran == {(number(first) + 2, 1): SIZE, (number(first) + 3, 2): SIZE}


def test_urgent_joins_those_that_were_claimed_before_it(
    start_worker: StartWorker, client: Client, noise: Noise
) -> None:
    """The next batch is claimed while the last one runs; what comes to the urgent lane then goes with it.

    On a busy machine it may come too late for that, again and again.
    """
    start_worker("one", min_batch_size=1, max_batch_size=SIZE, **COST)
    while not one_has_joined(client, noise):
        pass


def one_has_joined(client: Client, noise: Noise) -> bool:
    """Whether one urgent request, of one at each claim, has joined those that were claimed."""
    tickets = client.submit_many([noise(seed) for seed in range(10 * SIZE)]).tickets
    urgent: list[tuple[int, Ticket]] = []
    claimed = 0
    while claimed < len(tickets):
        now = len(tickets) - client.queue_depth()["normal"]
        if now > claimed:
            urgent.append((now, client.submit(noise(100 + now), priority="urgent")))
            claimed = now
    ran = [number(one) for one in tickets]
    return any(number(one) <= max(ran[:before]) for before, one in urgent)
