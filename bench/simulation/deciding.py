"""How long the shipped batcher takes to decide: in processor time, so that neighbours do not count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from time import thread_time

import numpy as np

from batching.item import Item
from bench.simulation.arrivals import as_items, poisson, speech_lengths
from bench.simulation.cost import Padded
from bench.simulation.policy import Shipped
from bench.simulation.studies.lengths import calibrated

#: What is asked for: so many items wait, and a batch holds so many.
WAITING, LARGEST = 256, 64

#: What the batches are said to take.
COST = Padded()

#: Decisions that are timed, and those before them that are not counted.
DECISIONS, WARM_UP = 1000, 50

#: Requests a second, of which each batch makes room for as many as it held.
RATE = 100.0


#: Identical runs, of which for each decision the least counts: what neighbours on the processor and its
#: caches add to one of them is not the batcher's.
RUNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """Seconds of processor time, while `WAITING` items of different lengths wait."""

    p50: float
    p99: float
    """Of `take` if the batch was chosen while the engine still ran, as the worker does."""
    at_once_p50: float
    at_once_p99: float
    """Of `take` if everything is left until the engine is free."""
    items_per_second: float
    """Through the batcher, everything counted: `add`, `plan`, `take`, and `ran`, which learns."""


def deciding(decisions: int = DECISIONS) -> Deciding:
    """Keep `WAITING` items waiting, and take a batch again and again."""
    runs = [_run(decisions, plans=True) for _ in range(RUNS)]
    planned = np.min([took for took, _ in runs], axis=0)
    at_once = np.min([_run(decisions, plans=False)[0] for _ in range(RUNS)], axis=0)
    p50, p99 = np.quantile(planned, [0.5, 0.99]).tolist()
    at_once_p50, at_once_p99 = np.quantile(at_once, [0.5, 0.99]).tolist()
    return Deciding(
        p50=p50,
        p99=p99,
        at_once_p50=at_once_p50,
        at_once_p99=at_once_p99,
        items_per_second=max(through for _, through in runs),
    )


def _run(decisions: int, *, plans: bool) -> tuple[Sequence[float], float]:
    """What each decision took, and items a second; the same decisions every time."""
    policy = Shipped(LARGEST, calibration=calibrated(LARGEST))
    coming = iter(_speech(WAITING + (decisions + WARM_UP) * LARGEST))
    for item in islice(coming, WAITING):
        policy.add(item)
    now, took, sizes = WAITING / RATE, [], []
    began_at = thread_time()
    for _ in range(decisions + WARM_UP):
        if plans:
            policy.plan(now)
        asked_at = thread_time()
        members = policy.take(now)
        took.append(thread_time() - asked_at)
        sizes.append(len(members))
        ends_at = now + COST.seconds(members)
        policy.ran(members, now, ends_at)
        for item in islice(coming, len(members)):
            policy.add(item)
        now = max(ends_at, item.enqueued_at)
    passed = thread_time() - began_at
    return took[WARM_UP:], sum(sizes) / passed


def _speech(count: int) -> Sequence[Item]:
    return as_items(poisson(RATE, count, 1), speech_lengths(count, 1))
