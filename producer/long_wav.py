"""WAV files of any length, read in pieces without a decoder, under the rules of `producer.wav`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from producer.long_file import read_at, size_of
from producer.sound import Sound, check_range, mix
from producer.streaming import Warn
from producer.wav import (
    MAX_CHUNKS,
    SIZE_ELSEWHERE,
    UNKNOWN_SIZE,
    Format,
    Wav,
    parse,
    read_long_size,
)
from protocol.errors import RequestError

#: Longest format chunk, in bytes: the extensible one has 40.
MAX_FORMAT_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LongWav:
    """Where the sound of a WAV file is, and how it is stored."""

    format: Format
    start: int
    """The first byte of the sound."""
    size: int
    """How many bytes of it the file has, whole samples only."""


def find(file: BinaryIO, warn: Warn) -> LongWav:
    """Find the sound in a file that is recognised as WAV; it may be shorter than it claims.

    Raises:
        RequestError: the header contradicts itself, or names what is not supported.
    """
    layout: Format | None = None
    long_size: int | None = None
    end = size_of(file)
    for name, start, size in _chunks(file):
        if name == b"fmt ":
            layout = _format(read_at(file, start, min(size, MAX_FORMAT_BYTES)))
        elif name == b"ds64":
            long_size = read_long_size(read_at(file, start, min(size, MAX_FORMAT_BYTES)))
        elif name == b"data" and layout is not None:
            known = size if size < UNKNOWN_SIZE else long_size if size == SIZE_ELSEWHERE else None
            present = end - start if known is None else min(known, end - start)
            if known is not None and present < known:
                warn(f"the WAV file has {present} of the {known} bytes of data it claims")
            return LongWav(format=layout, start=start, size=present - present % layout.frame_bytes)
    raise RequestError("the WAV file has no sound after a format in its first chunks", "AUDIO_CORRUPT")


def read(file: BinaryIO, wav: LongWav, warn: Warn) -> Iterator[Sound]:
    """The sound of a linear format, a second at a time.

    Raises:
        RequestError: empty, not finite or out of range.
    """
    if not wav.size:
        raise RequestError("the audio is empty: 0 samples", "AUDIO_EMPTY")
    step = wav.format.rate * wav.format.frame_bytes
    loud = False
    for at in range(wav.start, wav.start + wav.size, step):
        data = read_at(file, at, min(step, wav.start + wav.size - at))
        samples = Wav(format=wav.format, data=memoryview(data)).samples()
        if samples.dtype.kind == "f" and check_range(samples) > 1.0 and not loud:
            loud = True
            warn("samples are beyond full scale, −1..1: clipped")
        yield Sound(samples=mix(samples), rate=wav.format.rate)


def _format(chunk: bytes) -> Format:
    """What `producer.wav.parse` makes of this format chunk, told by a file that holds nothing else."""
    body = b"fmt " + struct.pack("<I", len(chunk)) + chunk + b"data" + struct.pack("<I", UNKNOWN_SIZE)
    return parse(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body).format


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and declared size of the first `MAX_CHUNKS` chunks."""
    at = 12
    for _ in range(MAX_CHUNKS):
        header = read_at(file, at, 8)
        if len(header) < 8:
            return
        name, size = struct.unpack("<4sI", header)
        yield name, at + 8, size
        at += 8 + size + size % 2
