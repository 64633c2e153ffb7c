"""Sound files that are small and last for hours: what a decoder makes of them fills gigabytes."""

from __future__ import annotations

import struct

#: Most samples of a FLAC frame (RFC 9639, 9.1.1), which take three bytes where they are all the same.
_FLAC_FRAME = 65_535

#: Two SILK frames of 60 ms in one byte (RFC 6716, 3.1 and 3.2.3): each is empty, and heard as silence.
_OPUS_PACKET = bytes([3 << 3 | 1])
_OPUS_RATE = 48_000
_PACKET_SAMPLES = _OPUS_RATE * 120 // 1_000

#: Most packets of an Ogg page, if each is shorter than 255 bytes (RFC 3533, 6).
_PAGE_PACKETS = 255


def _table(polynomial: int, bits: int) -> list[int]:
    """Remainders of all bytes, for a cyclic redundancy check that takes the highest bit first."""
    made = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> bits - 1 else 0)
            value &= (1 << bits) - 1
        made.append(value)
    return made


_TABLES = {bits: _table(polynomial, bits) for bits, polynomial in ((8, 0x07), (16, 0x8005), (32, 0x04C11DB7))}


def _check(data: bytes, bits: int) -> int:
    """The check of `data`: FLAC has one of 8 and one of 16 bits (RFC 9639, 9.1.8 and 9.3), Ogg one of 32."""
    table, mask, value = _TABLES[bits], (1 << bits) - 1, 0
    for byte in data:
        value = (value << 8 ^ table[value >> bits - 8 ^ byte]) & mask
    return value


def flac_of_silence(seconds: int) -> bytes:
    """16 kHz mono; 10 hours are 130 kB."""
    frames, rest = divmod(16_000 * seconds, _FLAC_FRAME)
    about = 16_000 << 44 | 15 << 36 | 16_000 * seconds
    sizes = struct.pack(">HH6xQ16x", _FLAC_FRAME, _FLAC_FRAME, about)
    last = [_flac_frame(frames, rest)] if rest else []
    return b"".join(
        [b"fLaC\x80\0\0\x22", sizes, *(_flac_frame(at, _FLAC_FRAME) for at in range(frames)), *last]
    )


def _flac_frame(number: int, samples: int) -> bytes:
    header = b"\xff\xf8\x75\x08" + chr(number).encode() + struct.pack(">H", samples - 1)
    frame = header + bytes([_check(header, 8)]) + bytes(3)
    return frame + struct.pack(">H", _check(frame, 16))


def opus_of_silence(seconds: int, *, said: int | None = None) -> bytes:
    """Opus in Ogg; 24 hours are 1.5 MB. It says that it lasts `said` seconds, if given, instead."""
    packets = seconds * _OPUS_RATE // _PACKET_SAMPLES
    most = _OPUS_RATE * (seconds if said is None else said)
    pages = [
        _page(b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, _OPUS_RATE, 0, 0), number=0, flags=2),
        _page(b"OpusTags" + bytes(8), number=1),
    ]
    for first in range(0, packets, _PAGE_PACKETS):
        end = min(first + _PAGE_PACKETS, packets)
        pages.append(
            _page(
                *[_OPUS_PACKET] * (end - first),
                number=len(pages),
                flags=4 if end == packets else 0,
                ends_at=min(most, end * _PACKET_SAMPLES),
            )
        )
    return b"".join(pages)


def _page(*packets: bytes, number: int, flags: int = 0, ends_at: int = 0) -> bytes:
    """A page of an Ogg stream; `ends_at` is the place of its last sample in the stream."""
    lacing = bytes(map(len, packets))
    fields = struct.pack("<4sBBQII", b"OggS", 0, flags, ends_at, 1, number)
    rest = bytes([len(packets)]) + lacing + b"".join(packets)
    return fields + struct.pack("<I", _check(fields + bytes(4) + rest, 32)) + rest
