"""Sound that comes in stretches, at any rate → at 16 kHz, in pieces of about a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray

from producer.sound import Sound
from protocol.request import SAMPLE_RATE

Warn: TypeAlias = Callable[[str], object]
"""Told what was changed or looks wrong, for people to read."""


def at_16_khz(sounds: Iterable[Sound]) -> Iterator[NDArray[np.int16]]:
    """`sounds`, all of one rate, as one stream of samples; 16 kHz comes through bit for bit."""
    stream: soxr.ResampleStream | None = None
    for sound in _seconds(sounds):
        if sound.rate == SAMPLE_RATE:
            yield _integers(sound.samples)
            continue
        stream = stream or soxr.ResampleStream(sound.rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        yield _integers(stream.resample_chunk(sound.samples))
    if stream is not None:
        yield _integers(stream.resample_chunk(np.empty(0, np.float32), last=True))


def _seconds(sounds: Iterable[Sound]) -> Iterator[Sound]:
    """`sounds` joined to a second each at least: libav's frames are some 20 ms, too short to work on."""
    joined: list[Sound] = []
    for sound in sounds:
        joined.append(sound)
        if sum(len(one.samples) for one in joined) >= sound.rate:
            yield _join(joined)
            joined = []
    if joined:
        yield _join(joined)


def _join(sounds: list[Sound]) -> Sound:
    return Sound(samples=np.concatenate([one.samples for one in sounds]), rate=sounds[0].rate)


def _integers(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype(np.int16)
