"""Where in an audio segment somebody speaks, by Silero as it is shipped with faster-whisper.

It hears 230 s of audio in a second on one core (2 s of it in 8.7 ms; two-core machine, 2026-11-22), which
is more than the engine needs for a short row. So it is asked only if the caller wants it to cut silence
out (`vad_filter`), and as a second opinion on windows whose text a gate speaks against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from faster_whisper.vad import SpeechTimestampsMap, VadOptions, get_speech_timestamps

from protocol.request import SAMPLE_RATE
from protocol.transcript import Segment, Word
from workers.engine.base import Samples

Stretches = tuple[tuple[int, int], ...]
"""First and last sample of each stretch of speech, in order."""


def stretches_of_speech(samples: Samples, parameters: Mapping[str, float] | None = None) -> Stretches:
    """Where in `samples` somebody speaks, with the margin that `parameters` ask for."""
    found = get_speech_timestamps(samples, VadOptions(**(parameters or {})))
    return tuple((one["start"], one["end"]) for one in found)


def holds_speech(samples: Samples) -> bool:
    """Whether anybody speaks in `samples`."""
    return bool(stretches_of_speech(samples))


def joined(samples: Samples, stretches: Stretches) -> Samples:
    """The stretches one after the other: shape ``[n_samples]``, none if there are none."""
    return np.concatenate([np.zeros(0, np.float32), *(samples[start:end] for start, end in stretches)])


def restored(segments: Sequence[Segment], stretches: Stretches) -> tuple[Segment, ...]:
    """`segments` heard in the joined stretches, at their times in the whole audio."""
    clock = SpeechTimestampsMap([{"start": start, "end": end} for start, end in stretches], SAMPLE_RATE)
    return tuple(_restored(segment, clock) for segment in segments)


def _restored(segment: Segment, clock: SpeechTimestampsMap) -> Segment:
    if not segment.words:
        start = clock.get_original_time(segment.start)
        return replace(segment, start=start, end=clock.get_original_time(segment.end, is_end=True))
    words = tuple(_restored_word(word, clock) for word in segment.words)
    return replace(segment, start=words[0].start, end=words[-1].end, words=words)


def _restored_word(word: Word, clock: SpeechTimestampsMap) -> Word:
    """Both ends in the stretch that holds the word's middle, so that no word spans what was cut out."""
    stretch = clock.get_chunk_index((word.start + word.end) / 2)
    start, end = (clock.get_original_time(time, stretch) for time in (word.start, word.end))
    return replace(word, start=start, end=end)
