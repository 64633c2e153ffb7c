"""Everything known to go wrong with sound files, and the code that each mishap gets: one list for every door.

Most of these are accepted by libav or libsndfile; some make them read other files, open sockets or fill
the memory.
"""

from __future__ import annotations

import gzip
import io
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from producer.source import MAX_BYTES
from tests.sound_files import encode, film_without_sound

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

NO_KIND = "the audio is not a file of a known kind: expected WAV, FLAC, Ogg, MP3, M4A or WebM"
PACKED = "the audio is packed with gzip or zip: unpack it first"
NO_SOUND = "the WAV file has no sound after a format in its first chunks"
NO_FLAC = "the FLAC file does not start with its stream information"
NO_OGG = "the Ogg file does not start with the first page of a stream"
LOCKED = "the MP4 file holds encrypted or IAMF sound"
NEVER_ENDS = "the audio is longer than 30 s, the longest audio segment"
DAMAGED = "the file cannot be decoded: …"


def bad_rate(rate: int) -> str:
    return f"the sample rate is {rate}: expected a whole number from 8000 to 192000 Hz"


def bad_channels(channels: int) -> str:
    return f"the audio has {channels} channels: expected 1 to 8"


def bad_tag(tag: str) -> str:
    return f"the WAV file has format tag {tag}: expected PCM, float, A-law or µ-law"


def bad_codec(codec: str) -> str:
    known = "aac, mp3, opus, vorbis, alac, flac, pcm_alaw, pcm_mulaw"
    return f"the sound is coded as {codec}: expected one of {known}"


#: Case by case: what it is, the bytes, the code, and what is said; `…` stands for what depends on libav.
BAD_BYTES: list[tuple[str, bytes, str, str]] = [
    ("1 nothing", b"", "AUDIO_EMPTY", "the audio is empty: 0 bytes"),
    ("2 one byte", b"R", "UNSUPPORTED_FORMAT", NO_KIND),
    ("3 text", b"Ask not what your country can do for you.", "UNSUPPORTED_FORMAT", NO_KIND),
    ("3 HTML", b"<!doctype html><title>404</title>", "UNSUPPORTED_FORMAT", NO_KIND),
    ("3 JSON", b'{"error": "not found"}', "UNSUPPORTED_FORMAT", NO_KIND),
    ("4 noise", JUNK, "UNSUPPORTED_FORMAT", NO_KIND),
    ("5 zeros", bytes(1_000_000), "UNSUPPORTED_FORMAT", NO_KIND),
    ("6 WAV without data", wav(b""), "AUDIO_EMPTY", "the audio is empty: 0 samples"),
    ("7 RIFF and no more", b"RIFF", "AUDIO_CORRUPT", NO_SOUND),
    ("7 cut format", wav()[:30], "AUDIO_CORRUPT",
        "the WAV file has a format chunk of 10 bytes, the shortest is 16"),
    ("7 short format", b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", bytes(8)), "AUDIO_CORRUPT",
        "the WAV file has a format chunk of 8 bytes, the shortest is 16"),
    ("7 data before format", b"RIFF\0\0\0\0WAVE" + chunk(b"data", bytes(32_000)), "AUDIO_CORRUPT", NO_SOUND),
    ("8 WAV cut", wav(bytes(10_666), claimed=32_000), "AUDIO_TRUNCATED",
        "the WAV file has 10666 of the 32000 bytes of data it claims"),
    ("9 streamed WAV cut", wav(bytes(31_999), claimed=0xFFFFFFFF), "AUDIO_TRUNCATED",
        "the WAV file ends inside a sample, 31999 bytes into its data"),
    ("10 WAV claims no data", wav(claimed=0), "AUDIO_CORRUPT",
        "the WAV file claims no data, and 32000 bytes follow"),
    ("11 half a sample", wav(bytes(32_001)), "AUDIO_CORRUPT",
        "the WAV file has 32001 bytes of data, not a multiple of 2"),
    ("12 no channels", wav(channels=0), "BAD_CHANNELS", bad_channels(0)),
    ("13 255 channels", wav(channels=255), "BAD_CHANNELS", bad_channels(255)),
    ("14 65 535 channels", wav(channels=65_535), "BAD_CHANNELS", bad_channels(65535)),
    ("15 0 Hz", wav(rate=0), "BAD_SAMPLE_RATE", bad_rate(0)),
    ("16 1 Hz", wav(bytes(64_000), rate=1), "BAD_SAMPLE_RATE", bad_rate(1)),
    ("17 100 Hz", wav(rate=100), "BAD_SAMPLE_RATE", bad_rate(100)),
    ("18 655 350 Hz", wav(rate=655_350), "BAD_SAMPLE_RATE", bad_rate(655_350)),
    ("19 4 GHz", wav(rate=0xFFFFFFFF), "BAD_SAMPLE_RATE", bad_rate(4_294_967_295)),
    ("20 0 bits", wav(bits=0), "UNSUPPORTED_FORMAT",
        "the WAV file has 0-bit samples: expected 8 or 16 or 24 or 32"),
    ("20 3 bits", wav(bits=3), "UNSUPPORTED_FORMAT",
        "the WAV file has 3-bit samples: expected 8 or 16 or 24 or 32"),
    ("20 64-bit integers", wav(bits=64), "UNSUPPORTED_FORMAT",
        "the WAV file has 64-bit samples: expected 8 or 16 or 24 or 32"),
    ("20 16-bit floats", wav(tag=3, bits=16), "UNSUPPORTED_FORMAT",
        "the WAV file has 16-bit samples: expected 32 or 64"),
    ("20 frames that do not add up", wav(frame_bytes=3), "AUDIO_CORRUPT",
        "the WAV file claims 3 bytes a frame, its samples take 2"),
    ("21 unknown tag", wav(tag=0x4242), "UNSUPPORTED_CODEC", bad_tag("0x4242")),
    ("21 unknown subformat", wav(tag=0xFFFE, guid=b"\1\0" + bytes(14)), "UNSUPPORTED_CODEC",
        bad_tag("0xfffe")),
    ("22 all NaN", wav(np.full(16_000, np.nan, "<f4"), tag=3, bits=32), "NON_FINITE_SAMPLES",
        "sample 0 is nan: expected finite numbers"),
    ("23 infinity", floats(0.0, -np.inf), "NON_FINITE_SAMPLES", "sample 1 is -inf: expected finite numbers"),
    ("24 3e38", floats(3e38), "SAMPLES_OUT_OF_RANGE",
        "the samples peak at 3e+38, the limit is 8: float samples belong in −1..1"),
    ("26 one sample", wav(bytes(2)), "TOO_SHORT", "the audio lasts 0.0001 s, the shortest is 0.05 s"),
    ("26 10 ms", wav(bytes(320)), "TOO_SHORT", "the audio lasts 0.0100 s, the shortest is 0.05 s"),
    ("29 31 s", wav(bytes(31 * 32_000)), "TOO_LONG",
        "the audio lasts 31.00 s, the longest audio segment is 30 s"),
    ("33 too many bytes", bytes(MAX_BYTES + 1), "TOO_LARGE",
        "the audio has at least 25000001 bytes, the limit is 25000000"),
    ("34 gzip", gzip.compress(wav()), "UNSUPPORTED_ENCODING", PACKED),
    ("34 zip", zipped(wav()), "UNSUPPORTED_ENCODING", PACKED),
    ("35 200 000 chunks", wav(before=chunk(b"LIST", b"") * 200_000), "AUDIO_CORRUPT", NO_SOUND),
    ("37 ID3 tag of 256 MB", b"ID3\4\0\0\x7f\x7f\x7f\x7f" + JUNK, "AUDIO_CORRUPT",
        DAMAGED),
    ("38 FLAC and junk", b"fLaC" + JUNK, "AUDIO_CORRUPT", NO_FLAC),
    ("38 FLAC cut in its header", b"fLaC\0\0\0\x22" + bytes(10), "AUDIO_CORRUPT", NO_FLAC),
    ("38 Ogg and junk", b"OggS" + JUNK, "AUDIO_CORRUPT", NO_OGG),
    ("38 Ogg magic", b"OggS", "AUDIO_CORRUPT", NO_OGG),
    ("38 Ogg and ones", b"OggS" + b"\xff" * 100, "AUDIO_CORRUPT", NO_OGG),
    ("38 MP4 and junk", b"\0\0\0\x10ftypM4A \0\0\0\0" + JUNK, "AUDIO_CORRUPT",
        "the MP4 file has no box at byte 16"),
    ("38 WebM and junk", b"\x1a\x45\xdf\xa3" + JUNK, "AUDIO_CORRUPT", DAMAGED),
    ("38 MP3 and junk", b"ID3\4\0\0\0\0\0\0" + bytes(4_096), "AUDIO_CORRUPT",
        DAMAGED),
    ("42 PNG", PNG, "UNSUPPORTED_FORMAT", NO_KIND),
    ("43 ffconcat", FFCONCAT, "UNSUPPORTED_FORMAT", NO_KIND),
    ("44 SDP", SDP, "UNSUPPORTED_FORMAT", NO_KIND),
    ("45 m3u8", M3U8 % 9, "UNSUPPORTED_FORMAT", NO_KIND),
    ("45 DASH", DASH % 9, "UNSUPPORTED_FORMAT", NO_KIND),
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


def film(_: bytes) -> bytes:
    """An MP4 file of pictures only."""
    return film_without_sound()


def glued(file: bytes) -> bytes:
    """Two MP3 files of different rates in one."""
    return unmarked(file) + encode("mp3 at 44.1 kHz", noise(1))


CODED = ("flac", "mp3", "m4a", "opus", "webm")

LACKING = "the file holds … of the … s it claims"

#: What is said of half a file of five seconds.
HALVES = {
    "flac": LACKING,
    "mp3": LACKING,
    "m4a": "the MP4 file ends inside a box",
    "opus": "the Ogg file ends inside a page",
    "webm": LACKING,
}

#: What it is, the kind of file, its seconds, what happens to it, the code, and what is said.
BAD_FILES: list[tuple[str, str, float, Callable[[bytes], bytes], str, str]] = [
    ("6 FLAC without frames", "flac", 1, without_frames, "AUDIO_EMPTY", "the audio is empty: 0 samples"),
    ("13 16 channels of Opus", "opus of 16 channels", 1, bytes, "BAD_CHANNELS", bad_channels(16)),
    ("17 7 350 Hz", "m4a at 7.35 kHz", 1, bytes, "BAD_SAMPLE_RATE", bad_rate(7350)),
    ("18 forged FLAC rate", "flac", 1, at_655_350_hz, "BAD_SAMPLE_RATE", bad_rate(655_350)),
    ("21 ADPCM", "adpcm", 1, bytes, "UNSUPPORTED_CODEC", bad_tag("0x0011")),
    ("24 gain of 48 dB", "webm", 1, amplified, "SAMPLES_OUT_OF_RANGE",
        "the samples peak at …, the limit is 8: float samples belong in −1..1"),
    ("26 40 ms", "flac", 0.04, bytes, "TOO_SHORT", "the audio lasts 0.0400 s, the shortest is 0.05 s"),
    *((f"30 31.1 s of {kind} unannounced", kind, 31.1, unmarked, "TOO_LONG", NEVER_ENDS)
        for kind in ("flac", "mp3")),
    ("36 a new rate", "mp3", 1, glued, "AUDIO_CORRUPT", "the file changes its sample rate from … Hz"),
    ("38 FLAC header and junk", "flac", 1, lambda file: file[:42] + JUNK, "AUDIO_CORRUPT",
        "the file holds nothing that can be decoded"),
    *((f"39 torn {kind}", kind, 5, torn, "AUDIO_CORRUPT", "the file …")
        for kind in ("flac", "m4a", "alac")),
    *((f"40 half of {kind}", kind, 5, half, "AUDIO_TRUNCATED", said) for kind, said in HALVES.items()),
    ("40 half of a short FLAC", "flac", 0.5, half, "AUDIO_TRUNCATED",
        "the file holds … of the 0.50 s it claims"),
    ("41 film without sound", "m4a", 1, film, "NO_AUDIO_STREAM", "the file holds no sound"),
    ("46 encrypted MP4", "m4a", 1, said_to_hold(b"enca"), "UNSUPPORTED_FORMAT", LOCKED),
    ("46 IAMF", "m4a", 1, said_to_hold(b"iamf"), "UNSUPPORTED_FORMAT", LOCKED),
    ("46 unknown codec", "m4a", 1, said_to_hold(b"zzzz"), "UNSUPPORTED_CODEC",
        bad_codec("something unknown")),
    ("46 PCM in Matroska", "matroska", 1, bytes, "UNSUPPORTED_CODEC", bad_codec("pcm_s16le")),
]  # fmt: skip


def says(message: str, said: str) -> bool:
    """Whether a `message` is what is `said`; `…` stands for whatever there is."""
    return re.fullmatch(re.escape(said).replace("…", ".+"), message) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class BadFile:
    """Bytes, and what whoever sends them is told."""

    name: str
    content: bytes = field(repr=False)
    code: str
    said: str


def every_bad_file() -> list[BadFile]:
    """All of `BAD_BYTES` and `BAD_FILES`."""
    made = [
        (name, change(encode(kind, noise(seconds))), code, said)
        for name, kind, seconds, change, code, said in BAD_FILES
    ]
    return [
        BadFile(name=name, content=content, code=code, said=said)
        for name, content, code, said in (*BAD_BYTES, *made)
    ]
