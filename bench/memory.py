"""Memory of the engine process: what each row of a batch takes, and whether 10 000 batches leave anything.

The engine keeps what it has freed (`workers.engine.memory`), so the size of its process is that of its
largest batch so far. Rows are therefore measured in a process of their own for each size of batch.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from faster_whisper import decode_audio

from bench.apart import Apart
from bench.clips import SAMPLE_RATE
from bench.engine import CONTEXTS, Context
from bench.soak import FLAT, resident_bytes
from protocol.options import Options
from workers import demo
from workers.engine.base import Samples
from workers.engine.faster_whisper import FasterWhisperEngine

#: Rows in a batch, and the lengths of a row in seconds: a short one, and the longest.
SIZES = (1, 8, 32)
SECONDS = (2.0, 30.0)

#: Batches after which everything that is made once is there: the largest batch of each kind among them.
WARM_UP = 1_000

#: Looks at the memory in one run.
BLOCKS = 20

#: Most rows in a batch of the long run, which has all sizes up to here: the default `max_batch_size`.
MOST_ROWS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class OfRows:
    """A process that has run one batch, and nothing else but its warm-up."""

    context: Context
    seconds: float
    """Length of each row."""
    rows: int
    loaded_bytes: int
    """Resident memory before that batch."""
    bytes: int
    """And after it."""

    @property
    def bytes_a_row(self) -> float:
        """What each row has added."""
        return (self.bytes - self.loaded_bytes) / self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class OverBatches:
    """One process over many batches: resident memory by the number of batches so far."""

    looks: Sequence[tuple[int, int]]

    @property
    def growth(self) -> float:
        """Most that it was above the first look after the warm-up, as a part of that: 0.05 is 5 %."""
        later = [size for batches, size in self.looks if batches >= WARM_UP] or [self.looks[-1][1]]
        return max(later) / later[0] - 1

    @property
    def is_flat(self) -> bool:
        """Whether that is as good as nothing."""
        return self.growth <= FLAT


def of_rows(say: Callable[[str], object] = lambda _: None) -> list[OfRows]:
    """Every context, length and size, each in a new process."""
    found = []
    for context in CONTEXTS:
        for seconds in SECONDS:
            for rows in SIZES:
                say(f"{rows} rows of {seconds:g} s, {context} context")
                with Apart() as process:
                    found.append(process.run(partial(one_batch, context, seconds, rows)).answer)
    return found


def over_batches(batches: int, say: Callable[[str], object] = lambda _: None) -> OverBatches:
    """Run so many batches of strangers in one process, bucketed; look now and then."""
    looks = []
    block = max(1, batches // BLOCKS)
    with Apart() as process:
        for done in range(block, batches + 1, block):
            say(f"{done} of {batches} batches")
            looks.append((done, process.run(partial(many_batches, done - block, block)).answer))
    return OverBatches(looks=looks)


def one_batch(context: Context, seconds: float, rows: int) -> OfRows:
    """Load the engine here and run one batch of speech."""
    engine = _engine(context)
    options = Options(language="en", beam_size=1, temperature=0.0)
    samples = np.resize(np.concatenate(_spoken()), int(seconds * SAMPLE_RATE))
    loaded = resident_bytes(os.getpid())
    engine.run(engine.prepare_all([(samples, options)] * rows))
    return OfRows(
        context=context,
        seconds=seconds,
        rows=rows,
        loaded_bytes=loaded,
        bytes=resident_bytes(os.getpid()),
    )


def many_batches(first: int, count: int) -> int:
    """Run `count` batches of any packaged clips here, the `first` and later ones; resident bytes then.

    Some have a language, some a prompt, some a second pass for their words.
    """
    engine, spoken = _engine("bucketed"), _spoken()
    for nth in range(first, first + count):
        draw = random.Random(nth)
        some = draw.choices(spoken, k=draw.randint(1, MOST_ROWS))
        shared = Options(beam_size=1, temperature=0.0, word_timestamps=nth % 10 == 0)
        engine.run(engine.prepare_all([(samples, _asked(shared, draw)) for samples in some]))
    return resident_bytes(os.getpid())


def _asked(shared: Options, draw: random.Random) -> Options:
    language = draw.choice((None, "en", "es", "de"))
    prompt = draw.choice((None, "Madrid", "Turn on the lights in the kitchen."))
    return replace(shared, language=language, initial_prompt=prompt)


@cache
def _spoken() -> list[Samples]:
    return [decode_audio(str(clip.path)) for clip in demo.speech()]


@cache
def _engine(context: Context) -> FasterWhisperEngine:
    engine = FasterWhisperEngine("demo", device="cpu", audio_context=context, cpu_threads=os.cpu_count() or 1)
    engine.load()
    return engine
