"""The packaged speech as the benchmarks use it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import cycle, islice

import numpy as np
from faster_whisper import decode_audio

from workers import demo
from workers.engine.base import Samples

SAMPLE_RATE = 16_000

#: All of one language, for faster-whisper's batched pipeline takes no other, if it is given one.
LANGUAGE = "en"

#: Seconds: the lengths of what people say to a machine.
SHORTEST, LONGEST = 1.0, 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One audio segment, and its exact words."""

    samples: Samples = field(repr=False)
    text: str

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE


def chosen_clips(count: int) -> list[Spoken]:
    """The first `count` packaged clips of one language and 1 to 4 s, over again if there are fewer."""
    fitting = [
        clip
        for clip in demo.speech()
        if clip.language == LANGUAGE and SHORTEST <= clip.samples / SAMPLE_RATE <= LONGEST
    ]
    decoded = (Spoken(samples=decode_audio(str(clip.path)), text=clip.text) for clip in fitting)
    return list(islice(cycle(decoded), count))


def joined(clips: list[Spoken]) -> tuple[Samples, list[dict[str, float]]]:
    """The clips one after the other, and where each starts and ends in seconds."""
    ends = np.cumsum([len(clip.samples) for clip in clips]) / SAMPLE_RATE
    starts = [0.0, *ends[:-1]]
    places = [{"start": float(start), "end": float(end)} for start, end in zip(starts, ends, strict=True)]
    return np.concatenate([clip.samples for clip in clips]), places
