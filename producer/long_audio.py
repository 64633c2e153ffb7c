"""Anything a caller calls audio, however long → 16 kHz mono in pieces of about a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from producer import long_wav
from producer.array import read_array
from producer.audio import AudioLike
from producer.container import Kind
from producer.decode_pool import decode_recording
from producer.long_file import opened, recognised
from producer.sound import Sound, check_rate
from producer.source import Source
from producer.splitting import Samples
from producer.streaming import Warn, at_16_khz
from protocol.errors import RequestError
from protocol.request import SAMPLE_RATE

#: Longest recording, in hours: audio, results and what is known of a recording stay in Redis for a day, and
#: the first of it must still be there when the last is.
MAX_HOURS = 24

_MAX_SAMPLES = MAX_HOURS * 3_600 * SAMPLE_RATE


def read_pieces(audio: AudioLike, *, sample_rate: int | None, warn: Warn) -> Iterator[Samples]:
    """The sound of `audio` in pieces; no more of it than a few is ever held, except what the caller holds.

    `sample_rate` in Hz goes with an array; a file carries its own. Kinds of files are those of
    `producer.audio.read_audio`.

    Raises:
        RequestError: it is none of these, or longer than `MAX_HOURS`. If pieces came before, the rest
            cannot be read.
    """
    total = 0
    for piece in _pieces(audio, sample_rate, warn):
        total += len(piece)
        if total > _MAX_SAMPLES:
            raise RequestError(f"the recording is longer than {MAX_HOURS} h", "TOO_LONG")
        yield piece


def _pieces(audio: AudioLike, sample_rate: int | None, warn: Warn) -> Iterator[Samples]:
    if isinstance(audio, tuple):
        if len(audio) != 2 or not isinstance(audio[0], np.ndarray) or sample_rate is not None:
            raise RequestError(
                "a tuple as audio must be (NumPy array, sample rate), without another sample_rate",
                "BAD_ARRAY",
            )
        audio, sample_rate = audio
    if isinstance(audio, np.ndarray):
        return at_16_khz(_array_sounds(audio, SAMPLE_RATE if sample_rate is None else sample_rate, warn))
    if sample_rate is not None:
        raise RequestError(
            f"sample_rate is {repr(sample_rate)[:40]}: it goes with a NumPy array, a file carries its own",
            "BAD_SAMPLE_RATE",
        )
    return _file_pieces(audio, warn)


def _file_pieces(source: Source, warn: Warn) -> Iterator[Samples]:
    with opened(source) as file:
        yield from _decoded(file, warn)


def _decoded(file: BinaryIO, warn: Warn) -> Iterator[Samples]:
    container = recognised(file)
    for warning in container.warnings:
        warn(warning)
    if container.kind is Kind.WAV:
        wav = long_wav.find(file, warn)
        if wav.format.is_linear:
            return at_16_khz(long_wav.read(file, wav, warn))
        container = replace(container, states_length=False)  # `find` has compared the lengths
    return decode_recording(file, container, warn)


def _array_sounds(array: NDArray[Any], rate: int, warn: Warn) -> Iterator[Sound]:
    """Equal stretches of `array`, of a second at most; `read_array` checks them."""
    axis = int(array.ndim == 2 and array.shape[1] > array.shape[0])
    length = array.shape[axis] if array.ndim else 0
    n_stretches = -(-length // check_rate(rate))
    for stretch in np.array_split(array, n_stretches, axis) if length else [array]:
        sound = read_array(stretch, rate)
        for warning in sound.warnings:
            warn(warning)
        yield sound
