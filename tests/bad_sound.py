"""Everything known to go wrong with sound files, and the code that each mishap gets: one list for every door.

Most of these are accepted by libav or libsndfile; some make them read other files, open sockets or fill
the memory.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from producer.source import MAX_BYTES
from tests.sound_files import encode

GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def noise(seconds: float) -> NDArray[np.int16]:
    """16 kHz mono int16 that no codec can make small."""
    return np.random.default_rng(7).integers(-3_000, 3_000, int(seconds * 16_000)).astype(np.int16)


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def wav(
    data: bytes | NDArray[np.generic] = bytes(32_000),
    *,
    tag: int = 1,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    frame_bytes: int | None = None,
    claimed: int | None = None,
    before: bytes = b"",
    guid: bytes | None = None,
) -> bytes:
    """A WAV file, with every field of its header free to lie."""
    data = data if isinstance(data, bytes) else data.tobytes()
    frame_bytes = min(channels * bits // 8, 65_535) if frame_bytes is None else frame_bytes
    header = struct.pack("<HHIIHH", tag, channels, rate, 0, frame_bytes, bits)
    if guid is not None:
        header += struct.pack("<HHI", 22, bits, 0) + guid
    claimed = len(data) if claimed is None else claimed
    body = b"WAVE" + chunk(b"fmt ", header) + before + b"data" + struct.pack("<I", claimed) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def floats(*values: float) -> bytes:
    """A float WAV file of a second of silence that begins with `values`."""
    samples = np.zeros(16_000, "<f4")
    samples[: len(values)] = values
    return wav(samples, tag=3, bits=32)


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("speech.wav", data)
    return file.getvalue()


JUNK = bytes(np.random.default_rng(1).integers(0, 256, 65_536, np.uint8))
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0\x3a\x7e\x9b\x55"
FFCONCAT = b"ffconcat version 1.0\nfile mlx_ls_test.flac\n"
SDP = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
M3U8 = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:%d/a.ts\n#EXT-X-ENDLIST\n"
DASH = b'<?xml version="1.0"?><MPD><BaseURL>http://127.0.0.1:%d/</BaseURL><Period/></MPD>'

#: Case by case: what it is, the bytes, the code.
BAD_BYTES: list[tuple[str, bytes, str]] = [
    ("1 nothing", b"", "AUDIO_EMPTY"),
    ("2 one byte", b"R", "UNSUPPORTED_FORMAT"),
    ("3 text", b"Ask not what your country can do for you.", "UNSUPPORTED_FORMAT"),
    ("3 HTML", b"<!doctype html><title>404</title>", "UNSUPPORTED_FORMAT"),
    ("3 JSON", b'{"error": "not found"}', "UNSUPPORTED_FORMAT"),
    ("4 noise", JUNK, "UNSUPPORTED_FORMAT"),
    ("5 zeros", bytes(1_000_000), "UNSUPPORTED_FORMAT"),
    ("6 WAV without data", wav(b""), "AUDIO_EMPTY"),
    ("7 RIFF and no more", b"RIFF", "AUDIO_CORRUPT"),
    ("7 cut format", wav()[:30], "AUDIO_CORRUPT"),
    ("7 short format", b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", bytes(8)), "AUDIO_CORRUPT"),
    ("7 data before format", b"RIFF\0\0\0\0WAVE" + chunk(b"data", bytes(32_000)), "AUDIO_CORRUPT"),
    ("8 WAV cut", wav(bytes(10_666), claimed=32_000), "AUDIO_TRUNCATED"),
    ("9 streamed WAV cut", wav(bytes(31_999), claimed=0xFFFFFFFF), "AUDIO_TRUNCATED"),
    ("10 WAV claims no data", wav(claimed=0), "AUDIO_CORRUPT"),
    ("11 half a sample", wav(bytes(32_001)), "AUDIO_CORRUPT"),
    ("12 no channels", wav(channels=0), "BAD_CHANNELS"),
    ("13 255 channels", wav(channels=255), "BAD_CHANNELS"),
    ("14 65 535 channels", wav(channels=65_535), "BAD_CHANNELS"),
    ("15 0 Hz", wav(rate=0), "BAD_SAMPLE_RATE"),
    ("16 1 Hz", wav(bytes(64_000), rate=1), "BAD_SAMPLE_RATE"),
    ("17 100 Hz", wav(rate=100), "BAD_SAMPLE_RATE"),
    ("18 655 350 Hz", wav(rate=655_350), "BAD_SAMPLE_RATE"),
    ("19 4 GHz", wav(rate=0xFFFFFFFF), "BAD_SAMPLE_RATE"),
    ("20 0 bits", wav(bits=0), "UNSUPPORTED_FORMAT"),
    ("20 3 bits", wav(bits=3), "UNSUPPORTED_FORMAT"),
    ("20 64-bit integers", wav(bits=64), "UNSUPPORTED_FORMAT"),
    ("20 16-bit floats", wav(tag=3, bits=16), "UNSUPPORTED_FORMAT"),
    ("20 frames that do not add up", wav(frame_bytes=3), "AUDIO_CORRUPT"),
    ("21 unknown tag", wav(tag=0x4242), "UNSUPPORTED_CODEC"),
    ("21 unknown subformat", wav(tag=0xFFFE, guid=b"\1\0" + bytes(14)), "UNSUPPORTED_CODEC"),
    ("22 all NaN", wav(np.full(16_000, np.nan, "<f4"), tag=3, bits=32), "NON_FINITE_SAMPLES"),
    ("23 infinity", floats(0.0, -np.inf), "NON_FINITE_SAMPLES"),
    ("24 3e38", floats(3e38), "SAMPLES_OUT_OF_RANGE"),
    ("26 one sample", wav(bytes(2)), "TOO_SHORT"),
    ("26 10 ms", wav(bytes(320)), "TOO_SHORT"),
    ("29 31 s", wav(bytes(31 * 32_000)), "TOO_LONG"),
    ("33 too many bytes", bytes(MAX_BYTES + 1), "TOO_LARGE"),
    ("34 gzip", gzip.compress(wav()), "UNSUPPORTED_ENCODING"),
    ("34 zip", zipped(wav()), "UNSUPPORTED_ENCODING"),
    ("35 200 000 chunks", wav(before=chunk(b"LIST", b"") * 200_000), "AUDIO_CORRUPT"),
    ("37 ID3 tag of 256 MB", b"ID3\4\0\0\x7f\x7f\x7f\x7f" + JUNK, "AUDIO_CORRUPT"),
    ("38 FLAC and junk", b"fLaC" + JUNK, "AUDIO_CORRUPT"),
    ("38 FLAC cut in its header", b"fLaC\0\0\0\x22" + bytes(10), "AUDIO_CORRUPT"),
    ("38 Ogg and junk", b"OggS" + JUNK, "AUDIO_CORRUPT"),
    ("38 Ogg magic", b"OggS", "AUDIO_CORRUPT"),
    ("38 Ogg and ones", b"OggS" + b"\xff" * 100, "AUDIO_CORRUPT"),
    ("38 MP4 and junk", b"\0\0\0\x10ftypM4A \0\0\0\0" + JUNK, "AUDIO_CORRUPT"),
    ("38 WebM and junk", b"\x1a\x45\xdf\xa3" + JUNK, "AUDIO_CORRUPT"),
    ("38 MP3 and junk", b"ID3\4\0\0\0\0\0\0" + bytes(4_096), "AUDIO_CORRUPT"),
    ("42 PNG", PNG, "UNSUPPORTED_FORMAT"),
    ("43 ffconcat", FFCONCAT, "UNSUPPORTED_FORMAT"),
    ("44 SDP", SDP, "UNSUPPORTED_FORMAT"),
    ("45 m3u8", M3U8 % 9, "UNSUPPORTED_FORMAT"),
    ("45 DASH", DASH % 9, "UNSUPPORTED_FORMAT"),
]  # fmt: skip


def half(file: bytes) -> bytes:
    return file[: len(file) // 2]


def unmarked(file: bytes) -> bytes:
    """An MP3 or FLAC file that does not say how long it is."""
    if file.startswith(b"fLaC"):
        return file[:21] + bytes([file[21] & 0xF0]) + bytes(4) + file[26:]
    return file.replace(b"Xing", bytes(4)).replace(b"Info", bytes(4))


def at_655_350_hz(file: bytes) -> bytes:
    """A FLAC file whose stream information forges the rate."""
    fields = int.from_bytes(file[18:26], "big")
    return file[:18] + ((fields & ((1 << 44) - 1)) | 655_350 << 44).to_bytes(8, "big") + file[26:]


def torn(file: bytes) -> bytes:
    """A file with every 97th byte of its second half changed."""
    damaged = bytearray(file)
    for at in range(len(file) // 2, len(file), 97):
        damaged[at] ^= 0xFF
    return bytes(damaged)


def without_frames(file: bytes) -> bytes:
    """The headers of a FLAC file, without its length."""
    return unmarked(file[: file.index(b"\xff\xf8")])


def amplified(file: bytes) -> bytes:
    """An Opus WebM file whose header asks for a gain of 48 dB (RFC 7845, 5.1)."""
    at = file.index(b"OpusHead") + 16
    return file[:at] + struct.pack("<h", 48 * 256) + file[at + 2 :]


def said_to_hold(entry: bytes) -> Callable[[bytes], bytes]:
    """An M4A file whose sample description is another."""
    return lambda file: file.replace(b"mp4a", entry, 1).replace(b"esds", b"free")


CODED = ("flac", "mp3", "m4a", "opus", "webm")

#: What it is, the kind of file, its seconds, what happens to it, the code.
BAD_FILES: list[tuple[str, str, float, Callable[[bytes], bytes], str]] = [
    ("6 FLAC without frames", "flac", 1, without_frames, "AUDIO_EMPTY"),
    ("13 16 channels of Opus", "opus of 16 channels", 1, bytes, "BAD_CHANNELS"),
    ("17 7 350 Hz", "m4a at 7.35 kHz", 1, bytes, "BAD_SAMPLE_RATE"),
    ("18 forged FLAC rate", "flac", 1, at_655_350_hz, "BAD_SAMPLE_RATE"),
    ("21 ADPCM", "adpcm", 1, bytes, "UNSUPPORTED_CODEC"),
    ("24 gain of 48 dB", "webm", 1, amplified, "SAMPLES_OUT_OF_RANGE"),
    ("26 40 ms", "flac", 0.04, bytes, "TOO_SHORT"),
    *((f"30 31.1 s of {kind} unannounced", kind, 31.1, unmarked, "TOO_LONG") for kind in ("flac", "mp3")),
    ("38 FLAC header and junk", "flac", 1, lambda file: file[:42] + JUNK, "AUDIO_CORRUPT"),
    *((f"39 torn {kind}", kind, 5, torn, "AUDIO_CORRUPT") for kind in ("flac", "m4a", "alac")),
    *((f"40 half of {kind}", kind, 5, half, "AUDIO_TRUNCATED") for kind in CODED),
    ("40 half of a short FLAC", "flac", 0.5, half, "AUDIO_TRUNCATED"),
    ("46 encrypted MP4", "m4a", 1, said_to_hold(b"enca"), "UNSUPPORTED_FORMAT"),
    ("46 IAMF", "m4a", 1, said_to_hold(b"iamf"), "UNSUPPORTED_FORMAT"),
    ("46 unknown codec", "m4a", 1, said_to_hold(b"zzzz"), "UNSUPPORTED_CODEC"),
    ("46 PCM in Matroska", "matroska", 1, bytes, "UNSUPPORTED_CODEC"),
]  # fmt: skip


def every_bad_file() -> list[tuple[str, bytes, str]]:
    """All of `BAD_BYTES` and `BAD_FILES`: what it is, the bytes, the code."""
    made = [
        (name, change(encode(kind, noise(seconds))), code) for name, kind, seconds, change, code in BAD_FILES
    ]
    return [*BAD_BYTES, *made]
