"""Features of 30 s: faster-whisper's extractor against the engine's own, as either has them made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Literal

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor

from bench.apart import Apart
from bench.clips import chosen_clips
from bench.rounds import Spent, Timed
from protocol.options import Options
from protocol.request import MAX_SAMPLES
from workers.engine.base import Samples
from workers.engine.faster_whisper import FasterWhisperEngine

#: The first takes the threads that OpenBLAS gives it. Segue's, for a batch of which none is prepared: side by
#: side on all cores; and ahead of the batch, one after the other in one thread.
Maker = Literal["faster-whisper", "batch", "ahead"]
MAKERS: tuple[Maker, ...] = ("faster-whisper", "batch", "ahead")

#: How many are made in a round.
STRETCHES = 32

Features = Mapping[Maker, Timed[int]]


def makers(theirs: Apart, ours: Apart, count: int = STRETCHES) -> dict[Maker, Callable[[], Spent[int]]]:
    """Each maker, ready to make those of `count` stretches; how many frames they have is its answer."""
    for process in (theirs, ours):
        process.run(partial(stretches, count))
    return {
        maker: partial((theirs if maker == "faster-whisper" else ours).run, partial(frames_of, maker, count))
        for maker in MAKERS
    }


def frames_of(maker: Maker, count: int) -> int:
    """Have the features of `count` stretches made in this process, and count the frames."""
    if maker == "faster-whisper":
        return sum(_extractor()(samples).shape[1] for samples in stretches(count))
    asked = [(samples, Options()) for samples in stretches(count)]
    engine = _engine()
    rows = engine.prepare_all(asked) if maker == "batch" else [engine.prepare(*one) for one in asked]
    return sum(row.features.shape[1] for row in rows)


@cache
def stretches(count: int) -> tuple[Samples, ...]:
    """Speech without end, cut at other places for each."""
    speech = np.concatenate([clip.samples for clip in chosen_clips(20)])
    return tuple(np.resize(np.roll(speech, nth * 4_321), MAX_SAMPLES) for nth in range(count))


@cache
def _extractor() -> FeatureExtractor:
    return FeatureExtractor()


@cache
def _engine() -> FasterWhisperEngine:
    engine = FasterWhisperEngine("demo", device="cpu", cpu_threads=os.cpu_count() or 1)
    engine.load()
    return engine
