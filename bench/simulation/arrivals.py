"""When requests come, and how long their audio is: drawn from a seed, so that every policy sees the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from batching.item import Item

Times = npt.NDArray[np.float64]

#: Lengths of speech as they come from a detector of pauses: most of some seconds, a tail up to Whisper's
#: window of 30 s. Median in seconds, and standard deviation of the logarithm.
MEDIAN_LENGTH, LENGTH_SPREAD = 7.0, 0.7
SHORTEST, LONGEST = 1.0, 30.0


def poisson(rate: float, count: int, seed: int) -> Times:
    """`count` times in seconds, rising: independent requests, `rate` in a second on average."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, count)
    return np.cumsum(gaps)


def bursts(rate: float, count: int, seed: int, *, size: int = 4, gap: float) -> Times:
    """`count` times in seconds, rising: independent bursts of `size` requests, `gap` apart on average.

    `rate` counts requests, so bursts come `size` times less often. Bursts may overlap.
    """
    draw = np.random.default_rng(seed)
    starts = np.cumsum(draw.exponential(size / rate, -(-count // size)))
    within = np.cumsum(draw.exponential(gap, (len(starts), size)), axis=1)
    return np.sort((starts[:, None] + within).ravel())[:count]


def speech_lengths(count: int, seed: int) -> Times:
    """`count` lengths of audio in seconds, lognormal between `SHORTEST` and `LONGEST`."""
    drawn = np.random.default_rng(seed).lognormal(np.log(MEDIAN_LENGTH), LENGTH_SPREAD, count)
    return np.clip(drawn, SHORTEST, LONGEST)


def as_items(times: Times, lengths: Times | None = None) -> Sequence[Item]:
    """The items that are enqueued at `times`: their ids count from 0, their cost is the length."""
    costs = np.zeros_like(times) if lengths is None else lengths
    pairs = zip(times.tolist(), costs.tolist(), strict=True)
    return [Item(id=number, key="one", enqueued_at=at, cost=cost) for number, (at, cost) in enumerate(pairs)]
