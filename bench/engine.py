"""The bare engine against faster-whisper's own ways, over the same clips, in one run.

Everything is at beam 1, temperature 0, with timestamps, and starts from samples: features are part of
the time of all, decoding audio of none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from faster_whisper import BatchedInferencePipeline, WhisperModel

from bench.clips import LANGUAGE, Spoken, chosen_clips, joined
from bench.rounds import Timed, interleaved
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

Context = Literal["full", "bucketed"]
CONTEXTS: tuple[Context, ...] = ("full", "bucketed")

Texts = list[str]


@dataclass(frozen=True, order=True, slots=True, kw_only=True)
class Way:
    """One way to transcribe all clips."""

    who: Literal["loop", "pipeline", "segue"]
    """`WhisperModel.transcribe` in a loop, `BatchedInferencePipeline`, or our engine."""
    context: Context
    batch_size: int
    language: Literal["detected", "given"]

    def __str__(self) -> str:
        return f"{self.who}, {self.context} context, batches of {self.batch_size}, language {self.language}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Every way over the same clips, and the predecessor's table."""

    clips: tuple[Spoken, ...]
    rounds: int
    cpu_threads: int
    ways: Mapping[Way, Timed[Texts]]
    table: Mapping[Way, Timed[Texts]]


class Subjects:
    """The demo model, loaded for each of those who are compared."""

    def __init__(self, cpu_threads: int) -> None:
        """Loads at once: the models are small, and a benchmark must not start cold."""
        self._whisper: WhisperModel = load_model("demo", device="cpu", cpu_threads=cpu_threads)
        self._pipeline = BatchedInferencePipeline(model=self._whisper)
        self._engines = {context: _loaded(context, cpu_threads) for context in CONTEXTS}

    def ways(self, clips: Sequence[Spoken]) -> dict[Way, Callable[[], Texts]]:
        """Every way that is compared, ready to run over `clips`."""
        ready: dict[Way, Callable[[], Texts]] = {}
        for language in ("detected", "given"):
            named = LANGUAGE if language == "given" else None
            loop = Way(who="loop", context="full", batch_size=1, language=language)
            ready[loop] = partial(one_by_one, self._whisper, clips, named)
            pipeline = Way(who="pipeline", context="full", batch_size=PIPELINE_SIZE, language=language)
            ready[pipeline] = partial(as_one_file, self._pipeline, clips, named)
            for context in CONTEXTS:
                ready |= self.sizes(clips, context, language, SIZES)
        return ready

    def sizes(
        self,
        clips: Sequence[Spoken],
        context: Context,
        language: Literal["detected", "given"],
        sizes: Sequence[int],
    ) -> dict[Way, Callable[[], Texts]]:
        """Our engine at each batch size."""
        options = Options(beam_size=1, temperature=0.0, language=LANGUAGE if language == "given" else None)
        return {
            Way(who="segue", context=context, batch_size=size, language=language): partial(
                in_batches, self._engines[context], clips, options, size
            )
            for size in sizes
        }


def measure(count: int, rounds: int, say: Callable[[str], object]) -> Measured:
    """Run everything over `count` clips, `rounds` times; `say` hears how far it is."""
    cpu_threads = os.cpu_count() or 1
    subjects = Subjects(cpu_threads)
    clips = chosen_clips(count)
    samples = chosen_clips(TABLE_SAMPLES)
    for warm_up in subjects.ways(clips[:1]).values():
        warm_up()
    table = {
        way: run
        for context in CONTEXTS
        for way, run in subjects.sizes(samples, context, "detected", TABLE_SIZES).items()
    }
    return Measured(
        clips=tuple(clips),
        rounds=rounds,
        cpu_threads=cpu_threads,
        ways=interleaved(subjects.ways(clips), rounds, say=say),
        table=interleaved(table, rounds, say=say),
    )


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
        rows = [engine.prepare(clip.samples, options) for clip in clips[start : start + size]]
        texts += [outcome.text if isinstance(outcome, Heard) else "" for outcome in engine.run(rows)]
    return texts


def _loaded(context: Context, cpu_threads: int) -> FasterWhisperEngine:
    engine = FasterWhisperEngine("demo", device="cpu", cpu_threads=cpu_threads, audio_context=context)
    engine.load()
    return engine
