"""What the engine benchmark found: ratios, and everything as one JSON object."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.clips import SAMPLE_RATE
from bench.engine import PIPELINE_SIZE, Measured, Texts, Way
from bench.mel import STRETCHES, Features, Maker
from bench.rounds import Timed
from protocol.request import MAX_SAMPLES

#: What the predecessor's document claims, by batch size: seconds a sample, and times faster than one by one.
PREDECESSOR = {1: (0.312, 1.0), 2: (0.198, 1.6), 4: (0.102, 3.1), 8: (0.089, 3.5)}

#: The libraries in which the time is spent.
LIBRARIES = ("ctranslate2", "faster-whisper", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One way, beside faster-whisper's two at the same wish for a language."""

    way: Way
    seconds_per_clip: float
    cpu_seconds_per_clip: float
    """Of all threads."""
    against_loop: float
    """How many times faster than `WhisperModel.transcribe` in a loop, by the clock."""
    against_pipeline: float
    """How many times faster than `BatchedInferencePipeline`, by the clock."""
    cpu_against_loop: float
    """How many times cheaper than the loop, in processor time."""
    texts_as_loop: int
    """How many of the texts are what the loop gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the predecessor's table, measured here."""

    context: str
    batch_size: int
    seconds_per_sample: float
    total_seconds: float
    speedup: float
    """Against batches of one, in the same context."""


def figures_of(measured: Measured) -> list[Figure]:
    """A figure for each way, in the order in which they ran."""
    return [_figure(way, measured.ways, len(measured.clips)) for way in measured.ways]


def table_of(table: Mapping[Way, Timed[Texts]], n_samples: int) -> list[Line]:
    """The predecessor's table, once for each context."""
    alone = {way.context: timed for way, timed in table.items() if way.batch_size == 1}
    return [
        Line(
            context=way.context,
            batch_size=way.batch_size,
            seconds_per_sample=timed.seconds / n_samples,
            total_seconds=timed.seconds,
            speedup=timed.times_faster(alone[way.context]),
        )
        for way, timed in table.items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfFeatures:
    """What makes features, beside faster-whisper's extractor."""

    maker: Maker
    seconds_per_stretch: float
    """By the clock."""
    cpu_seconds_per_stretch: float
    """Of all threads."""
    times_faster: float
    """By the clock."""
    times_cheaper: float
    """In processor time."""


def of_features(features: Features) -> list[OfFeatures]:
    """A figure for each maker, in the order in which they ran."""
    theirs = features["faster-whisper"]
    return [
        OfFeatures(
            maker=maker,
            seconds_per_stretch=timed.seconds / STRETCHES,
            cpu_seconds_per_stretch=timed.cpu_seconds / STRETCHES,
            times_faster=timed.times_faster(theirs),
            times_cheaper=timed.times_cheaper(theirs),
        )
        for maker, timed in features.items()
    ]


def as_json(measured: Measured, n_samples: int) -> dict[str, Any]:
    """Everything, with what is needed to judge it; lengths of time are in seconds."""
    seconds = [clip.seconds for clip in measured.clips]
    return {
        "machine": machine(),
        "settings": {
            "model": "demo",
            "device": "cpu",
            "compute_type": "float32",
            "cpu_threads": measured.cpu_threads,
            "beam_size": 1,
            "timestamps": True,
        },
        "clips": {
            "count": len(seconds),
            "shortest": round(min(seconds), 3),
            "longest": round(max(seconds), 3),
            "total": round(sum(seconds), 3),
        },
        "rounds": measured.rounds,
        "figures": [
            _rounded({**asdict(figure.way), **_without_way(figure)}) for figure in figures_of(measured)
        ],
        "table": {
            "samples": n_samples,
            "lines": [_rounded(asdict(line)) for line in table_of(measured.table, n_samples)],
            "predecessor": [
                {"batch_size": size, "seconds_per_sample": each, "speedup": speedup}
                for size, (each, speedup) in PREDECESSOR.items()
            ],
        },
        "features": {
            "stretches": STRETCHES,
            "seconds_each": MAX_SAMPLES / SAMPLE_RATE,
            "makers": [_rounded(asdict(figure)) for figure in of_features(measured.features)],
        },
    }


def machine() -> dict[str, Any]:
    """What this ran on, and how busy that was when it ended."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }


def _figure(way: Way, ways: Mapping[Way, Timed[Texts]], n_clips: int) -> Figure:
    timed = ways[way]
    loop = ways[Way(who="loop", context="full", batch_size=1, language=way.language)]
    pipeline = ways[Way(who="pipeline", context="full", batch_size=PIPELINE_SIZE, language=way.language)]
    return Figure(
        way=way,
        seconds_per_clip=timed.seconds / n_clips,
        cpu_seconds_per_clip=timed.cpu_seconds / n_clips,
        against_loop=timed.times_faster(loop),
        against_pipeline=timed.times_faster(pipeline),
        cpu_against_loop=timed.times_cheaper(loop),
        texts_as_loop=sum(one == other for one, other in zip(timed.answer, loop.answer, strict=True)),
    )


def _without_way(figure: Figure) -> dict[str, Any]:
    return {name: value for name, value in asdict(figure).items() if name != "way"}


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in values.items()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
