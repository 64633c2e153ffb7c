"""Anything a caller calls audio → the samples of one audio segment → the bytes of its payload."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from producer.array import is_ready, read_array
from producer.container import Container, Kind, recognise
from producer.decode_pool import decode_segment
from producer.sound import Sound, check_length, clipping, mixed, resampled
from producer.source import read_source
from producer.wav import parse
from protocol.errors import RequestError
from protocol.request import SAMPLE_RATE, Encoding

AudioLike: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | NDArray[Any]
    | tuple[NDArray[Any], int]
)
"""A path; a file's bytes; a file opened as binary; an array at 16 kHz, or with its sample rate in Hz."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """One audio segment, ready to be sent."""

    samples: NDArray[np.int16] = field(repr=False)
    """16 kHz mono, shape ``[n_samples]``, contiguous, never the caller's memory."""
    warnings: tuple[str, ...] = ()
    """What was changed or looks wrong, for people to read."""


def read_audio(audio: AudioLike, *, sample_rate: int | None = None) -> Audio:
    """Read one audio segment of 0.05 to 30 s, at any rate from 8 to 192 kHz and with up to 8 channels.

    `sample_rate` goes with an array; a file carries its own. Files are WAV, FLAC, Ogg (Opus, Vorbis),
    MP3, M4A or WebM by their first bytes, whatever their name; nothing else is ever opened.

    Raises:
        RequestError: it is none of these; the code says what is wrong.
    """
    if isinstance(audio, tuple):
        audio, sample_rate = _unpaired(audio, sample_rate)
    if isinstance(audio, np.ndarray):
        if sample_rate is None and is_ready(audio):
            return _as_it_is(audio)
        return _audio(read_array(audio, SAMPLE_RATE if sample_rate is None else sample_rate))
    if sample_rate is not None:
        raise RequestError(
            f"sample_rate is {repr(sample_rate)[:40]}: it goes with a NumPy array, a file carries its own",
            "BAD_SAMPLE_RATE",
        )
    return _from_file(read_source(audio))


def encode_payload(samples: NDArray[np.int16], encoding: Encoding) -> bytes:
    """The payload of 16 kHz mono `samples`, int16 of shape ``[n_samples]``."""
    if encoding is Encoding.FLAC:
        from producer.flac import encode_flac  # libav, which those who send PCM do without

        return encode_flac(samples)
    return samples.astype("<i2", copy=False).tobytes()


def _as_it_is(samples: NDArray[np.int16]) -> Audio:
    """What `_audio` makes of these, bit for bit, in a quarter of the time."""
    check_length(len(samples), SAMPLE_RATE)
    return Audio(samples=np.array(samples, order="C"), warnings=clipping(samples))


def _unpaired(pair: tuple[Any, ...], sample_rate: int | None) -> tuple[NDArray[Any], int]:
    if len(pair) != 2 or not isinstance(pair[0], np.ndarray) or sample_rate is not None:
        raise RequestError(
            "a tuple as audio must be (NumPy array, sample rate), without another sample_rate", "BAD_ARRAY"
        )
    return pair


def _from_file(file: bytes) -> Audio:
    """WAV is read here; whatever needs native code is decoded in another process."""
    container = recognise(file)
    if container.kind is not Kind.WAV:
        return _decoded(file, container, container.warnings)
    wav = parse(file)
    if not wav.format.is_linear:
        return _decoded(file, container, wav.warnings)
    return _audio(mixed(wav.samples(), wav.format.rate, wav.warnings))


def _decoded(file: bytes, container: Container, warnings: tuple[str, ...]) -> Audio:
    heard: list[str] = [*warnings]
    samples = decode_segment(file, container, heard.append)
    check_length(len(samples), SAMPLE_RATE)
    return Audio(samples=samples, warnings=(*heard, *clipping(samples)))


def _audio(sound: Sound) -> Audio:
    samples = resampled(sound)
    return Audio(samples=samples, warnings=sound.warnings + clipping(samples))
