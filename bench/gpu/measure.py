"""How many requests a second each engine serves, by batch size and context; and how it runs out of memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np

from protocol.errors import OutOfMemory, TranscriptionError
from protocol.options import Options
from workers.engine.base import Engine, Heard, Row
from workers.engine.choice import whisper_engine

Context = Literal["full", "bucketed"]
CONTEXTS: tuple[Context, ...] = ("full", "bucketed")

#: The published measurement that ours is held against: clips of about 4.7 s; of such, 24 tokens are usual.
SECONDS, TEXT_TOKENS = 4.7, 24

#: Start, language, task, no timestamps.
PROMPT_TOKENS = 4

BATCH_SIZES = (1, 2, 4, 8, 16, 32)

#: What is left of the device for the probe, in bytes beyond what the model holds, and how many rows of full
#: context cannot fit into it even for the smallest models.
PROBE_BYTES, PROBE_ROWS = 256 * 2**20, 512


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
    """Features of one row on the CPU, which a worker computes beside the engine call before."""

    @property
    def requests_per_second(self) -> float:
        """At this batch size, the engine never idle."""
        return self.batch_size / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A way that does not run here, and why."""

    way: Way
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What happened when a batch did not fit."""

    way: Way
    is_reported: bool
    """Whether it was `OutOfMemory`."""
    runs_again: bool
    """Whether one row ran afterwards, in the same process."""


def forced_length() -> Options:
    """A text of just `TEXT_TOKENS`, for none with these weights ends; no gate is asked if it is any good."""
    return Options(
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


def figures(
    folder: Path,
    way: Way,
    *,
    device: str,
    sizes: Sequence[int],
    rounds: int,
    say: Callable[[str], object],
) -> Iterator[Figure | Failed]:
    """Run one way at each size. A size that does not fit ends it, and so does an engine that is not there."""
    try:
        engine = loaded(folder, way, device)
        for size in sizes:
            say(f"{way.engine} {way.compute_type} {way.context}, batches of {size}")
            yield figure(engine, way, size, rounds)
        engine.unload()
    except TranscriptionError as error:
        yield Failed(way=way, reason=str(error))


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
    """Noise of different loudness: rows that have nothing in common."""
    noise = np.random.default_rng(7).standard_normal(int(SECONDS * 16_000)).astype(np.float32)
    return [engine.prepare(noise * (0.01 + 0.001 * nth), forced_length()) for nth in range(size)]


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


def probe(folder: Path, way: Way) -> Probe:
    """Give the torch engine less memory than its batch needs. On a CUDA device only."""
    import torch

    engine = loaded(folder, way, "cuda")
    rows = prepared(engine, PROBE_ROWS)
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + PROBE_BYTES) / whole)
    try:
        engine.run(rows)
        is_reported = False
    except OutOfMemory:
        is_reported = True
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    check(engine, rows[:1])
    engine.unload()
    return Probe(way=way, is_reported=is_reported, runs_again=True)
