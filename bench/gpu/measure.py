"""How many requests a second each engine serves, by batch size and context."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np

from producer.given import GivenOptions
from protocol.options import Options
from workers.engine.base import Engine, Heard, Row, Samples
from workers.engine.choice import whisper_engine
from workers.engine.loading import MAX_REASON_CHARACTERS

Context = Literal["full", "bucketed"]
CONTEXTS: tuple[Context, ...] = ("full", "bucketed")

#: The published measurement that ours is held against: clips of about 4.7 s; of such, 24 tokens are usual.
SECONDS, TEXT_TOKENS = 4.7, 24

#: Start, language, task, no timestamps.
PROMPT_TOKENS = 4

BATCH_SIZES = (1, 2, 4, 8, 16, 32)

#: A text of just `TEXT_TOKENS`, for none with these weights ends; no gate is asked if it is any good.
FORCED = GivenOptions(
    language="en",
    beam_size=1,
    temperature=0.0,
    without_timestamps=True,
    # CTranslate2 lets half of what prompt and text may have together be new.
    max_new_tokens=2 * TEXT_TOKENS - PROMPT_TOKENS,
    compression_ratio_threshold=None,
    log_prob_threshold=None,
    no_speech_threshold=None,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One engine, as it is set up."""

    engine: Literal["faster-whisper", "torch"]
    compute_type: str
    context: Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One way at one batch size."""

    way: Way
    batch_size: int
    seconds: float
    """Of one engine call: median of the rounds."""
    slowest: float
    """Of the rounds."""
    prepare_seconds: float
    """Features of one row on all cores, which a worker computes beside the engine call before."""

    @property
    def requests_per_second(self) -> float:
        """At this batch size, the engine never idle."""
        return self.batch_size / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A way that does not run here, and why."""

    way: Way
    reason: str


def figure_of(folder: Path, way: Way, device: str, size: int, rounds: int) -> Figure | Failed:
    """One way at one batch size, in this process, which loads it once; or why it does not run here."""
    try:
        return figure(loaded(folder, way, device), way, size, rounds)
    # Whatever CUDA and its libraries raise: the other ways have processes of their own.
    except (Exception, SystemExit) as error:
        return failed(way, error)


def failed(way: Way, error: BaseException) -> Failed:
    """`error` in one line; it may hold all of a library's search path."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return Failed(way=way, reason=reason[:MAX_REASON_CHARACTERS])


@cache
def loaded(folder: Path, way: Way, device: str) -> Engine:
    """The engine of a way. Raises `EngineError` if it does not run here."""
    engine = whisper_engine(way.engine)(
        str(folder), device=device, compute_type=way.compute_type, audio_context=way.context
    )
    engine.load()
    return engine


def figure(engine: Engine, way: Way, size: int, rounds: int) -> Figure:
    """Run batches of one size: once to warm up, then `rounds` times."""
    started_at = time.perf_counter()
    rows = prepared(engine, size)
    prepare_seconds = (time.perf_counter() - started_at) / size
    check(engine, rows)
    taken = []
    for _ in range(rounds):
        started_at = time.perf_counter()
        engine.run(rows)
        taken.append(time.perf_counter() - started_at)
    return Figure(
        way=way,
        batch_size=size,
        seconds=median(taken),
        slowest=max(taken),
        prepare_seconds=prepare_seconds,
    )


def prepared(engine: Engine, size: int) -> list[Row]:
    """Rows that have nothing in common but their options."""
    return engine.prepare_all([(samples, Options(**dict[str, Any](FORCED))) for samples in noises(size)])


def noises(count: int) -> list[Samples]:
    """Noise of different loudness."""
    noise = np.random.default_rng(7).standard_normal(int(SECONDS * 16_000)).astype(np.float32)
    return [noise * np.float32(0.01 + 0.001 * nth) for nth in range(count)]


def check(engine: Engine, rows: Sequence[Row]) -> None:
    """Run `rows` and see that as much was said as is counted; `RuntimeError` if not."""
    for outcome in engine.run(rows):
        if not isinstance(outcome, Heard):
            raise RuntimeError(f"a row was not heard: {outcome!r}")
        said = sum(len(segment.tokens) for segment in outcome.segments)
        if said != TEXT_TOKENS:
            raise RuntimeError(
                f"a row has {said} tokens, expected {TEXT_TOKENS}: nothing comparable was timed"
            )
