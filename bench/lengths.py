"""Speech of different lengths through a live worker, at a load beyond what first come first served can bear.

The same arrivals go to a worker that sees two batches and claims by name, to one that claims in order
(`prepare_ahead: 0`), and through the simulator as both. The engine is the fake one, which pads to the
longest. Audio is a tenth as long as speech, so that it is soon sent, and its seconds cost ten times as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.arriving import submitted_at
from bench.contestants import ours, running
from bench.simulation.arrivals import Times, as_items, poisson, speech_lengths
from bench.simulation.cost import Padded
from bench.simulation.policy import Claiming, Seeing, calibration
from bench.simulation.simulator import simulate
from producer import Client
from protocol.request import SAMPLE_RATE

LARGEST = 8

#: What the fake engine takes, and for how much less audio than there would be.
SHORTER = 10.0
ENGINE = Padded(base=0.040, each=0.008, longest=0.011 * SHORTER, padded=0.0)

SETTINGS = {
    "MAX_BATCH_SIZE": LARGEST,
    "MIN_BATCH_SIZE": 1,
    "FAKE_FIXED_MS": ENGINE.base * 1000,
    "FAKE_PER_ROW_MS": ENGINE.each * 1000,
    "FAKE_PER_LONGEST_SECOND_MS": ENGINE.longest * 1000,
}

#: Requests from which a worker learns what batches cost before any of them counts.
FIRST = 200

#: How long a request may take, in seconds.
PATIENCE_SECONDS = 600.0

#: What the simulated worker has measured beforehand, in seconds of audio.
CALIBRATED = (0.1, 1.0, 3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of the requests of one worker after the first tenth, in milliseconds."""

    mean: int
    p99: int
    last_half: int
    """The mean of the later half of all: far above `mean` where the queue grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Claimed by name and in order, on a worker and in the simulator."""

    load: float
    """Over the capacity in full batches, first come first served."""
    requests: int
    by_name: Latency
    in_order: Latency
    by_name_simulated: Latency
    in_order_simulated: Latency


def measure(redis_url: str, folder: Path, *, load: float, requests: int, seed: int = 1) -> Lengths:
    """Run all requests on one worker after the other.

    Raises:
        ResultTimeout: a worker does not get through them.
    """
    lengths = speech_lengths(requests, seed) / SHORTER
    at = poisson(load * ENGINE.capacity(as_items(np.zeros(requests), lengths), LARGEST), requests, seed)
    known, items = calibration(ENGINE, LARGEST, CALIBRATED), as_items(at, lengths)
    by_name = simulate(Seeing(LARGEST, 2 * LARGEST, calibration=known), items, ENGINE)
    in_order = simulate(Claiming(LARGEST, LARGEST, calibration=known), items, ENGINE)
    return Lengths(
        load=load,
        requests=requests,
        by_name=_live(redis_url, folder / "by_name.log", 2, at, lengths),
        in_order=_live(redis_url, folder / "in_order.log", 0, at, lengths),
        by_name_simulated=latency_of(by_name.latencies.tolist()),
        in_order_simulated=latency_of(in_order.latencies.tolist()),
    )


def _live(redis_url: str, log: Path, ahead: int, at: Times, lengths: Times) -> Latency:
    draw = np.random.default_rng(0)
    sounds = [draw.integers(-999, 999, int(SAMPLE_RATE * length)).astype(np.int16) for length in lengths]
    worker = ours(**SETTINGS, PREPARE_AHEAD=ahead)
    with running(worker, redis_url, log), Client(redis_url) as client:
        client.submit_many(sounds[:FIRST]).results(PATIENCE_SECONDS)
        _, receipts = submitted_at(client, at, sounds, timeout=PATIENCE_SECONDS)
        return latency_of([one.total for one in receipts])


def latency_of(seconds: Sequence[float]) -> Latency:
    """What is told of latencies in seconds, in the order of arrival."""
    counted, half = np.array(seconds[len(seconds) // 10 :]), np.array(seconds[len(seconds) // 2 :])
    return Latency(
        mean=round(1000 * float(counted.mean())),
        p99=round(1000 * float(np.quantile(counted, 0.99))),
        last_half=round(1000 * float(half.mean())),
    )
