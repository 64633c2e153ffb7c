"""Which kind of sound file some bytes are, and what the file says of itself before anything decodes it."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import StrEnum

from producer.sound import check_rate
from protocol.errors import RequestError

#: Most boxes of an MP4 file looked at; a fragmented one has two for every stretch of some 100 ms.
MAX_BOXES = 10_000

#: Sample descriptions (ISO/IEC 14496-12, 8.5.2) that must not reach a decoder: encrypted sound
#: (ISO/IEC 23001-7), of which it would make noise, and IAMF, whose parser has corrupted memory.
FORBIDDEN_ENTRY = re.compile(rb"stsd.{12}(enca|iamf)", re.DOTALL)


class Kind(StrEnum):
    """The kinds of files that are read, by the name of libav's demuxer."""

    WAV = "wav"
    FLAC = "flac"
    OGG = "ogg"
    MP3 = "mp3"
    MP4 = "mp4"
    WEBM = "matroska"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A file whose outline is whole."""

    kind: Kind
    states_length: bool = True
    """False if the length that libav gives for it would be a guess."""
    warnings: tuple[str, ...] = ()


def recognise(file: bytes) -> Container:
    """What `file` is, by its first bytes, never by its name; each kind's outline is checked.

    Raises:
        RequestError: not a kind that is read, or damaged in a way that shows without decoding.
    """
    if file.startswith((b"RIFF", b"RF64", b"BW64")) and b"WAVE".startswith(file[8:12]):
        return Container(kind=Kind.WAV)
    if file.startswith(b"fLaC"):
        return _check_flac(file)
    if file.startswith(b"OggS"):
        return _check_ogg(file)
    if file[4:8] == b"ftyp":
        return _check_mp4(file)
    if file.startswith(b"\x1a\x45\xdf\xa3"):
        return Container(kind=Kind.WEBM)
    if file.startswith(b"ID3") or _starts_mp3_frame(file):
        return _check_mp3(file)
    if file.startswith((b"\x1f\x8b", b"PK\x03\x04")):
        raise RequestError("the audio is packed with gzip or zip: unpack it first", "UNSUPPORTED_ENCODING")
    raise RequestError(
        "the audio is not a file of a known kind: expected WAV, FLAC, Ogg, MP3, M4A or WebM",
        "UNSUPPORTED_FORMAT",
    )


def _check_flac(file: bytes) -> Container:
    """Read STREAMINFO, which every FLAC file starts with (RFC 9639, 8.2)."""
    if file[4:5] not in (b"\x00", b"\x80") or file[5:8] != b"\x00\x00\x22" or len(file) < 42:
        raise _corrupt("the FLAC file does not start with its stream information")
    check_rate(int.from_bytes(file[18:21], "big") >> 4)
    return Container(kind=Kind.FLAC)


def _check_ogg(file: bytes) -> Container:
    """The first page must begin the stream and the last be whole (RFC 3533, 6)."""
    if len(file) < 27 or file[4] != 0 or not file[5] & 2:
        raise _corrupt("the Ogg file does not start with the first page of a stream")
    last = file.rfind(b"OggS")
    header, lacing = file[last : last + 27], file[last + 27 : last + 27 + 255]
    if len(header) < 27 or last + 27 + header[26] + sum(lacing[: header[26]]) > len(file):
        raise _truncated("the Ogg file ends inside a page")
    is_marked = bool(header[5] & 4)
    return Container(
        kind=Kind.OGG, warnings=() if is_marked else ("the Ogg file's last page is not marked as its last",)
    )


def _check_mp4(file: bytes) -> Container:
    """Walk the boxes at the top (ISO/IEC 14496-12, 4.2): the last must end with the file."""
    at = 0
    for _ in range(MAX_BOXES):
        if at == len(file):
            return Container(kind=Kind.MP4)
        at = _next_box(file, at)
    raise _corrupt(f"the MP4 file has more than {MAX_BOXES} boxes")


def _next_box(file: bytes, at: int) -> int:
    """Where the box at `at` ends; beyond the end of a file that was cut short."""
    if at + 8 > len(file):
        raise _truncated("the MP4 file ends inside a box")
    size, name = struct.unpack_from(">I4s", file, at)
    if size == 1 and at + 16 <= len(file):
        (size,) = struct.unpack_from(">Q", file, at + 8)
    if not name.isalnum():
        raise _corrupt(f"the MP4 file has no box at byte {at}")
    end: int = at + size if size else len(file)
    if name == b"moov" and FORBIDDEN_ENTRY.search(file, at, min(end, len(file))):
        raise RequestError("the MP4 file holds encrypted or IAMF sound", "UNSUPPORTED_FORMAT")
    return end


def _starts_mp3_frame(file: bytes) -> bool:
    """True if a frame header of MPEG layer III comes first, with bit rate and sample rate that exist."""
    if len(file) < 4:
        return False
    header = int.from_bytes(file[:4], "big")
    layer, bit_rate, rate = header >> 17 & 3, header >> 12 & 15, header >> 10 & 3
    return header >> 21 == 0x7FF and layer == 1 and 0 < bit_rate < 15 and rate < 3


def _check_mp3(file: bytes) -> Container:
    """Look behind the ID3 tag (id3v2.4, 3.1) for a Xing header that states the length in frames."""
    first_frame = 0
    if file.startswith(b"ID3"):
        first_frame = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(file[6:10], (21, 14, 7, 0), strict=False)
        )
    head = file[first_frame : first_frame + 200]
    at = max(head.find(b"Xing"), head.find(b"Info"))
    flags, frames = struct.unpack_from(">II", head, at + 4) if 0 <= at <= len(head) - 12 else (0, 0)
    return Container(kind=Kind.MP3, states_length=bool(flags & 1 and frames))


def _corrupt(message: str) -> RequestError:
    return RequestError(message, "AUDIO_CORRUPT")


def _truncated(message: str) -> RequestError:
    return RequestError(message, "AUDIO_TRUNCATED")
