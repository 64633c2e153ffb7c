"""The bare engine against faster-whisper's own ways, over the same clips, in one run.

Everything is at beam 1, temperature 0, with timestamps, and starts from samples: features are part of
the time of all, decoding audio of none. faster-whisper runs in one process, as anybody would run it, and
our engine in another.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

from faster_whisper import BatchedInferencePipeline, WhisperModel

from bench.apart import Apart
from bench.clips import LANGUAGE, Spoken, chosen_clips, joined
from bench.mel import Features, makers
from bench.rounds import Spent, Timed, interleaved
from protocol.options import Options
from workers.engine.base import Engine, Heard
from workers.engine.faster_whisper import FasterWhisperEngine
from workers.engine.loading import load_model

#: Ours: one by one, the default `max_batch_size`, and beyond.
SIZES = (1, 8, 16, 32)

#: For `BatchedInferencePipeline`, whose own default it is too.
PIPELINE_SIZE = 8

#: The predecessor's table: "20 synthetic samples" at these batch sizes. The packaged speech is synthetic.
TABLE_SIZES = (1, 2, 4, 8, 16, 32)
TABLE_SAMPLES = 20

#: How long OpenBLAS's threads may spin once faster-whisper's extractor has ended, in seconds: for a tenth
#: of one they took a core from whoever was measured next.
SPIN_SECONDS = 0.5

Context = Literal["full", "bucketed"]
CONTEXTS: tuple[Context, ...] = ("full", "bucketed")

Language = Literal["detected", "given"]
LANGUAGES: tuple[Language, ...] = ("detected", "given")

Texts = list[str]


@dataclass(frozen=True, order=True, slots=True, kw_only=True)
class Way:
    """One way to transcribe all clips."""

    who: Literal["loop", "pipeline", "segue"]
    """`WhisperModel.transcribe` in a loop, `BatchedInferencePipeline`, or our engine."""
    context: Context
    batch_size: int
    language: Language

    def __str__(self) -> str:
        return f"{self.who}, {self.context} context, batches of {self.batch_size}, language {self.language}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Every way over the same clips, the predecessor's table, and features by themselves."""

    clips: tuple[Spoken, ...]
    rounds: int
    cpu_threads: int
    ways: Mapping[Way, Timed[Texts]]
    table: Mapping[Way, Timed[Texts]]
    features: Features


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """Those who are compared, each in a process of its own."""

    theirs: Apart
    ours: Apart
    cpu_threads: int
    """How many each may take."""

    def measured(self, ways: Sequence[Way], count: int) -> dict[Way, Callable[[], Spent[Texts]]]:
        """Each way, ready to run over `count` clips."""
        for process in (self.theirs, self.ours):
            process.run(partial(decoded_clips, count))
        return {
            way: partial(
                self.ours.run if way.who == "segue" else self.theirs.run,
                partial(transcribed, way, count, self.cpu_threads),
            )
            for way in ways
        }


def all_ways() -> list[Way]:
    """Every way that is compared."""
    ways = []
    for language in LANGUAGES:
        ways.append(Way(who="loop", context="full", batch_size=1, language=language))
        ways.append(Way(who="pipeline", context="full", batch_size=PIPELINE_SIZE, language=language))
        ways += [way for context in CONTEXTS for way in our_ways(context, language, SIZES)]
    return ways


def our_ways(context: Context, language: Language, sizes: Sequence[int]) -> list[Way]:
    """Our engine at each batch size."""
    return [Way(who="segue", context=context, batch_size=size, language=language) for size in sizes]


def table_ways() -> list[Way]:
    """The predecessor's table, once for each context."""
    return [way for context in CONTEXTS for way in our_ways(context, "detected", TABLE_SIZES)]


def measure(count: int, rounds: int, say: Callable[[str], object]) -> Measured:
    """Run everything over `count` clips, `rounds` times; `say` hears how far it is."""
    cpu_threads = os.cpu_count() or 1
    with Apart() as theirs, Apart() as ours:
        subjects = Subjects(theirs=theirs, ours=ours, cpu_threads=cpu_threads)
        interleaved(subjects.measured(all_ways(), 1), 1, say=lambda which: say(f"warming up, {which}"))
        return Measured(
            clips=decoded_clips(count),
            rounds=rounds,
            cpu_threads=cpu_threads,
            ways=interleaved(subjects.measured(all_ways(), count), rounds, say=say),
            table=interleaved(subjects.measured(table_ways(), TABLE_SAMPLES), rounds, say=say),
            features=features(theirs, ours, rounds, say),
        )


def features(theirs: Apart, ours: Apart, rounds: int, say: Callable[[str], object]) -> Features:
    """Those of 30 s, by each maker in turn; more often than the rest, for they are soon made."""
    ready = makers(theirs, ours)
    interleaved(ready, 1, say=lambda which: say(f"warming up, features by {which}"))  # threads and memory too
    return interleaved(ready, 3 * rounds, say=lambda which: say(f"{which}, features"), pause=SPIN_SECONDS)


def transcribed(way: Way, count: int, cpu_threads: int) -> Texts:
    """The text of each of `count` clips, in this process; whoever does it is loaded once."""
    clips = decoded_clips(count)
    named = LANGUAGE if way.language == "given" else None
    if way.who == "loop":
        return one_by_one(_whisper(cpu_threads), clips, named)
    if way.who == "pipeline":
        return as_one_file(BatchedInferencePipeline(_whisper(cpu_threads)), clips, named)
    options = Options(beam_size=1, temperature=0.0, language=named)
    return in_batches(_engine(way.context, cpu_threads), clips, options, way.batch_size)


def one_by_one(whisper: WhisperModel, clips: Sequence[Spoken], language: str | None) -> Texts:
    """`WhisperModel.transcribe` in a loop."""
    texts = []
    for clip in clips:
        segments, _ = whisper.transcribe(clip.samples, language=language, beam_size=1, temperature=0.0)
        texts.append("".join(segment.text for segment in segments).strip())
    return texts


def as_one_file(pipeline: BatchedInferencePipeline, clips: Sequence[Spoken], language: str | None) -> Texts:
    """`BatchedInferencePipeline` over the clips as parts of one file, the nearest it has to many requests.

    Without a language it detects that of each part, as the others do.
    """
    samples, places = joined(list(clips))
    segments, _ = pipeline.transcribe(
        samples,
        language=language,
        multilingual=language is None,
        clip_timestamps=places,
        batch_size=PIPELINE_SIZE,
        beam_size=1,
        temperature=0.0,
        without_timestamps=False,
    )
    texts = ["" for _ in places]
    for segment in segments:
        middle = (segment.start + segment.end) / 2
        part = next((nth for nth, place in enumerate(places) if middle < place["end"]), len(places) - 1)
        texts[part] += segment.text
    return [text.strip() for text in texts]


def in_batches(engine: Engine, clips: Sequence[Spoken], options: Options, size: int) -> Texts:
    """Our engine, the clips in order and `size` at a time."""
    texts = []
    for start in range(0, len(clips), size):
        rows = engine.prepare_all([(clip.samples, options) for clip in clips[start : start + size]])
        texts += [outcome.text if isinstance(outcome, Heard) else "" for outcome in engine.run(rows)]
    return texts


@cache
def decoded_clips(count: int) -> tuple[Spoken, ...]:
    """The clips, decoded once in each process: that is part of no figure."""
    return tuple(chosen_clips(count))


@cache
def _whisper(cpu_threads: int) -> WhisperModel:
    return load_model("demo", device="cpu", cpu_threads=cpu_threads)


@cache
def _engine(context: Context, cpu_threads: int) -> FasterWhisperEngine:
    engine = FasterWhisperEngine("demo", device="cpu", cpu_threads=cpu_threads, audio_context=context)
    engine.load()
    return engine
