"""Preparing ahead: what it saves an engine that would else wait while its next batch is fetched and prepared.

The same requests run on a worker that looks ahead and on one that does not, in turns. The engine is the fake
one, which takes as long as Whisper large-v3 does on a GPU by a public log; preparing takes half of that.
Nothing can be prepared before the first batch: its wait is told by itself, or it would be a third of all
waiting, with as few batches as there are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from bench.contestants import AUDIO, ours, running
from cli.local_redis import free_port
from producer import Client

#: Milliseconds of a call and of each row in it (sgl-omni issue 1888), and of preparing one: 120 for a batch
#: of 8, where the call takes 228.
COST = {"FAKE_FIXED_MS": 84, "FAKE_PER_ROW_MS": 18, "FAKE_PREPARE_PER_ROW_MS": 15}
BATCH_SIZE = 8

#: How many batches ahead the two look.
AHEAD = (0, 2)

#: How long all requests may take, in seconds.
PATIENCE_SECONDS = 600.0

_IDLE = "segue_engine_idle_with_work_seconds_total"
_BUSY = "segue_batch_duration_seconds_sum"
_READY = "segue_prepared_ahead_total"
_BATCHES, _REQUESTS = "segue_batch_size_count", "segue_batch_size_sum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """All requests but those of the first batch, once."""

    idle_percent: float
    """Of the time in which there was work, that in which the engine did not work."""
    requests_per_second: float
    ready_percent: float
    """Of the requests, those that were prepared before their batch began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Medians of several rounds, with and without looking ahead."""

    requests: int
    rounds: int
    ahead: Round
    in_turn: Round
    first_wait_ms: float
    """How long the engine waited for its first batch, with or without looking ahead."""

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as fast looking ahead is."""
        return {"throughput": self.ahead.requests_per_second / self.in_turn.requests_per_second}


def measure(redis_url: str, folder: Path, *, requests: int = 400, rounds: int = 3) -> Overlap:
    """Run all requests on each of the two, `rounds` times in turns.

    Raises:
        ResultTimeout: a worker does not get through them.
    """
    found: dict[int, list[Round]] = {most: [] for most in AHEAD}
    waits = []
    for number in range(rounds):
        for most in AHEAD:
            wait, one = one_round(redis_url, folder / f"{number}-{most}.log", requests, most)
            waits.append(1000 * wait)
            found[most].append(one)
    in_turn, ahead = (middle(found[most]) for most in AHEAD)
    return Overlap(
        requests=requests, rounds=rounds, in_turn=in_turn, ahead=ahead, first_wait_ms=median(waits)
    )


def one_round(redis_url: str, log: Path, requests: int, most: int) -> tuple[float, Round]:
    """All requests on a worker that looks `most` batches ahead, after one that warms it up.

    The first is how long the engine waited for the first batch, in seconds.
    """
    where = f"127.0.0.1:{free_port()}"
    size = {"MAX_BATCH_SIZE": BATCH_SIZE, "MIN_BATCH_SIZE": 1}
    worker = ours(**COST, **size, PREPARE_AHEAD=most, METRICS_ADDRESS=where)
    with ExitStack() as stack:
        stack.enter_context(running(worker, redis_url, log))
        client = stack.enter_context(Client(redis_url))
        client.submit(AUDIO).result(PATIENCE_SECONDS)
        warm = figures(where)
        tickets = client.submit_many([AUDIO] * requests).tickets
        tickets[0].result(PATIENCE_SECONDS)
        while (first := figures(where))[_BATCHES] == warm[_BATCHES]:
            pass  # the worker tells of a batch a moment after its results
        for ticket in tickets:
            ticket.result(PATIENCE_SECONDS)
        return first[_IDLE] - warm[_IDLE], judged(first, figures(where))


def figures(where: str) -> dict[str, float]:
    """What the worker at this address tells Prometheus, by series."""
    with urlopen(f"http://{where}/metrics", timeout=PATIENCE_SECONDS) as answer:  # our own
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def judged(before: dict[str, float], after: dict[str, float]) -> Round:
    """What the batches between took, by a worker's figures before and after them."""
    idle, busy, ready, requests = (after[name] - before[name] for name in (_IDLE, _BUSY, _READY, _REQUESTS))
    return Round(
        idle_percent=100 * idle / (idle + busy),
        requests_per_second=requests / (idle + busy),
        ready_percent=100 * ready / requests,
    )


def middle(rounds: Sequence[Round]) -> Round:
    """The median of each figure."""
    return Round(
        idle_percent=median(one.idle_percent for one in rounds),
        requests_per_second=median(one.requests_per_second for one in rounds),
        ready_percent=median(one.ready_percent for one in rounds),
    )
