"""WAV files, read without a decoder: libav and libsndfile accept headers that no sound can have.

RF64 and BW64, for files above 4 GB, are WAV files too whose sizes are in a chunk of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producer.sound import check_channels, check_rate
from protocol.errors import RequestError

# Format tags (Microsoft, mmreg.h).
PCM, FLOAT, A_LAW, MU_LAW, EXTENSIBLE = 0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE

#: What follows the format tag in the GUID of an extensible format (mmreg.h, KSDATAFORMAT_SUBTYPE_PCM).
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")

#: Bits per sample that exist in the field, for each format tag.
BITS = {PCM: (8, 16, 24, 32), FLOAT: (32, 64), A_LAW: (8,), MU_LAW: (8,)}

#: Most chunks looked at: real files have a handful, a hostile one 200 000.
MAX_CHUNKS = 64

#: Data sizes from here on stand for "unknown", left by writers that could not go back to fill them in:
#: ffmpeg leaves 0xFFFFFFFF, SoX 0x7FFFF000.
UNKNOWN_SIZE = 0x7FFFF000

#: The size that stands for the one in the `ds64` chunk of RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088).
SIZE_ELSEWHERE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How the samples of a WAV file are stored; every instance is one that sound can have."""

    tag: int
    channels: int
    rate: int
    bits: int

    @property
    def is_linear(self) -> bool:
        """True if `Wav.samples` can read it; A-law and µ-law are left to a decoder."""
        return self.tag in (PCM, FLOAT)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.bits // 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Wav:
    """A WAV file whose header tells the truth: a whole number of samples, all there."""

    format: Format
    data: memoryview
    warnings: tuple[str, ...] = ()

    def samples(self) -> NDArray[Any]:
        """The samples of a linear format as stored, ``[n_samples, n_channels]``; 24 bits become int32."""
        if self.format.bits == 24:
            widened = np.zeros((len(self.data) // 3, 4), np.uint8)
            widened[:, 1:] = np.frombuffer(self.data, np.uint8).reshape(-1, 3)
            flat: NDArray[Any] = widened.view("<i4")
        else:
            kind = "f" if self.format.tag == FLOAT else "u" if self.format.bits == 8 else "i"
            flat = np.frombuffer(self.data, f"<{kind}{self.format.bits // 8}")
        return flat.reshape(-1, self.format.channels)


def parse(file: bytes) -> Wav:
    """Check the header of a file that starts with ``RIFF....WAVE``, or ``RF64`` or ``BW64`` for ``RIFF``.

    Raises:
        RequestError: the header contradicts itself or the file, or names what is not supported.
    """
    layout: Format | None = None
    long_size: int | None = None
    for name, start, size in _chunks(file):
        if name == b"fmt ":
            layout = _read_format(file[start : start + size])
        elif name == b"ds64":
            long_size = read_long_size(file[start : start + size])
        elif name == b"data" and layout is not None:
            if size == SIZE_ELSEWHERE and long_size is not None:
                if long_size > len(file) - start:
                    raise _too_short(len(file) - start, long_size)
                size = long_size  # noqa: PLW2901 - what was said there stands for it
            return _read_data(file, start, size, layout)
    raise _corrupt("has no sound after a format in its first chunks")


def read_long_size(chunk: bytes) -> int:
    """How many bytes of data a `ds64` chunk states. Raises `RequestError`."""
    if len(chunk) < 16:
        raise _corrupt(f"has a ds64 chunk of {len(chunk)} bytes, the shortest is 16")
    size: int = struct.unpack_from("<Q", chunk, 8)[0]
    return size


def _chunks(file: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and declared size of the first `MAX_CHUNKS` chunks."""
    at = 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(file):
            return
        name, size = struct.unpack_from("<4sI", file, at)
        yield name, at + 8, size
        at += 8 + size + size % 2


def _read_format(chunk: bytes) -> Format:
    if len(chunk) < 16:
        raise _corrupt(f"has a format chunk of {len(chunk)} bytes, the shortest is 16")
    tag, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == EXTENSIBLE and chunk[26:40] == GUID_TAIL:
        (tag,) = struct.unpack_from("<H", chunk, 24)
    if tag not in BITS:
        raise RequestError(
            f"the WAV file has format tag {tag:#06x}: expected PCM, float, A-law or µ-law",
            "UNSUPPORTED_CODEC",
        )
    check_channels(channels)
    check_rate(rate)
    if bits not in BITS[tag]:
        expected = " or ".join(str(known) for known in BITS[tag])
        raise RequestError(f"the WAV file has {bits}-bit samples: expected {expected}", "UNSUPPORTED_FORMAT")
    layout = Format(tag=tag, channels=channels, rate=rate, bits=bits)
    if frame_bytes != layout.frame_bytes:
        raise _corrupt(f"claims {frame_bytes} bytes a frame, its samples take {layout.frame_bytes}")
    return layout


def _read_data(file: bytes, start: int, size: int, layout: Format) -> Wav:
    present = len(file) - start
    if size >= UNKNOWN_SIZE:
        if present % layout.frame_bytes:
            raise _truncated(f"ends inside a sample, {present} bytes into its data")
        size = present
    if size > present:
        raise _too_short(present, size)
    if size % layout.frame_bytes:
        raise _corrupt(f"has {size} bytes of data, not a multiple of {layout.frame_bytes}")
    if size == 0 and present:
        raise _corrupt(f"claims no data, and {present} bytes follow")
    data = memoryview(file)[start : start + size]
    return Wav(format=layout, data=data, warnings=_trailing(file, start + size))


def _trailing(file: bytes, data_end: int) -> tuple[str, ...]:
    """A warning if more follows than the sound and what the RIFF header counts as the file."""
    (riff_size,) = struct.unpack_from("<I", file, 4)
    surplus = len(file) - max(8 + riff_size, data_end + data_end % 2)
    return (f"{surplus} bytes after the end of the WAV file were ignored",) if surplus > 0 else ()


def _corrupt(what: str) -> RequestError:
    return RequestError(f"the WAV file {what}", "AUDIO_CORRUPT")


def _too_short(present: int, claimed: int) -> RequestError:
    return _truncated(f"has {present} of the {claimed} bytes of data it claims")


def _truncated(what: str) -> RequestError:
    return RequestError(f"the WAV file {what}", "AUDIO_TRUNCATED")
