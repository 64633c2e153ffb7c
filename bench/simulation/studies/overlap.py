"""Audio that must be decoded first: in the engine call, in a pipeline of whole batches, or as it comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.simulation.arrivals import Times, as_items, poisson
from bench.simulation.contest import LARGEST, WHISPER
from bench.simulation.cost import InWaves, Serial
from bench.simulation.peers.staged import StagePipeline
from bench.simulation.policy import Shipped
from bench.simulation.simulator import Run, simulate
from bench.simulation.summary import Summary, summary_of

LOADS = (0.3, 0.6, 0.8, 0.9)

#: Decoding an audio segment, on each of so many threads.
DECODING = InWaves(each=0.030, threads=4)

POOL, STAGES, SERIAL = "Segue: decoded as they come", "pipeline of whole batches", "decoded in the call"


def study(items: int, seeds: Sequence[int]) -> Mapping[str, Mapping[float, Summary]]:
    """By way, then by load: independent requests, `items` for each and seed."""
    return {
        way: {load: summary_of([run(way, load, items, seed) for seed in seeds]) for load in LOADS}
        for way in (POOL, STAGES, SERIAL)
    }


def run(way: str, load: float, items: int, seed: int) -> Run:
    """One simulation."""
    times = poisson(load * WHISPER.capacity(LARGEST), items, seed)
    if way == STAGES:
        return simulate(StagePipeline(LARGEST, DECODING), as_items(times), WHISPER)
    if way == SERIAL:
        return simulate(Shipped(LARGEST), as_items(times), Serial(before=DECODING, engine=WHISPER))
    return simulate(Shipped(LARGEST), as_items(times), WHISPER, ready_at=decoded_at(times))


def decoded_at(times: Times) -> Times:
    """When each item is decoded, first come first served: rising, shape `[n_items]`."""
    done = np.empty_like(times)
    for number, at in enumerate(times):
        freed_at = done[number - DECODING.threads] if number >= DECODING.threads else 0.0
        done[number] = max(at, freed_at) + DECODING.each
    return done
