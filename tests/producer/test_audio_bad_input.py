"""Everything known to go wrong with sound files, and the code that each mishap gets.

Most of these are accepted by libav or libsndfile; some make them read other files, open sockets or fill
the memory.
"""

from __future__ import annotations

import gzip
import io
import os
import socket
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from producer.audio import read_audio
from producer.container import Container, Kind, recognise
from producer.decoding import decode
from producer.source import MAX_BYTES
from protocol.errors import RequestError

Encode = Callable[[str, NDArray[np.int16]], bytes]

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


BLACK = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")


def small_pictures(container: OutputContainer, rate: int) -> VideoStream:
    """A new stream of `container` that takes `BLACK`, `rate` times a second."""
    stream = container.add_stream("mpeg4", rate=rate)
    stream.width = stream.height = 16
    stream.pix_fmt = "yuv420p"
    return stream


def code_of(file: bytes) -> str:
    with pytest.raises(RequestError) as refused:
        read_audio(file)
    return refused.value.code


@pytest.mark.parametrize(("file", "code"), [pytest.param(*row, id=case) for case, *row in BAD_BYTES])
def test_bad_bytes_get_their_code(file: bytes, code: str) -> None:
    """Bytes that are no sound, or lie about it in their header, are refused with the code for that."""
    assert code_of(file) == code


@pytest.mark.parametrize(
    ("kind", "seconds", "change", "code"), [pytest.param(*row, id=case) for case, *row in BAD_FILES]
)
def test_bad_files_get_their_code(
    encode: Encode, kind: str, seconds: float, change: Callable[[bytes], bytes], code: str
) -> None:
    """Files too long, cut short, damaged or of a codec not let in are refused with the code for that."""
    assert code_of(change(encode(kind, noise(seconds)))) == code


@pytest.mark.parametrize(
    ("file", "warnings"),
    [
        pytest.param(wav(claimed=0xFFFFFFFF), 0, id="9 streamed by ffmpeg"),
        pytest.param(wav(claimed=0x7FFFF000), 0, id="9 streamed by SoX"),
        pytest.param(wav(bytes(16_000), tag=7, bits=8, claimed=0xFFFFFFFF), 0, id="9 streamed µ-law"),
        pytest.param(wav(tag=0xFFFE, guid=b"\1\0" + GUID_TAIL), 0, id="20 extensible header"),
        pytest.param(floats(1e-40), 0, id="25 denormals"),
        pytest.param(wav(), 0, id="27 silence"),
        pytest.param(wav(np.full(16_000, 32_767, "<i2")), 1, id="28 full scale"),
        pytest.param(wav(before=chunk(b"LIST", b"odd")), 0, id="35 one LIST chunk"),
        pytest.param(wav() + wav(), 1, id="36 two files in one"),
        pytest.param(wav() + b"junk", 1, id="36 trailing junk"),
        pytest.param(wav(bytes(16_000), tag=7, bits=8) + b"junk", 1, id="36 trailing junk after µ-law"),
    ],
)
def test_odd_but_honest_files_are_read(file: bytes, warnings: int) -> None:
    """What can be heard is heard; what was ignored or looks wrong is a warning."""
    audio = read_audio(file)
    assert len(audio.samples) == 16_000
    assert len(audio.warnings) == warnings


@pytest.mark.parametrize("kind", CODED)
def test_a_few_flipped_bytes_never_pass_unnoticed_as_whole(encode: Encode, kind: str) -> None:
    """Case 39: damaged files are refused, or decoded to about their length; nothing else happens."""
    file = bytearray(encode(kind, noise(2)))
    for at in range(996, len(file), 997):
        file[at] ^= 0xFF
    try:
        heard = read_audio(bytes(file))
    except RequestError as error:
        refused = error
    else:
        assert len(heard.samples) == pytest.approx(32_000, abs=3_200)
        return
    assert refused.code in {"AUDIO_CORRUPT", "AUDIO_TRUNCATED"}


@pytest.mark.parametrize(
    ("kind", "warning"),
    [
        ("m4a", "1 of 81 packets are damaged and were left out"),
        ("flac", "the file holds 4.93 of the 5.00 s it claims"),
    ],
)
def test_a_small_hole_is_left_out_with_a_warning(encode: Encode, kind: str, warning: str) -> None:
    """One broken packet of many does not cost the caller the rest of the sound, but the caller is told."""
    file = bytearray(encode(kind, noise(5)))
    middle = len(file) // 2
    file[middle : middle + 2] = bytes(2)
    audio = read_audio(bytes(file))
    assert len(audio.samples) == pytest.approx(80_000, abs=2_048)
    assert audio.warnings == (warning,)


@pytest.mark.parametrize("kind", CODED)
def test_honest_headers_save_the_decoding(encode: Encode, kind: str) -> None:
    """Case 29: what says it is too long is refused undecoded, and the error knows how long."""
    with pytest.raises(RequestError, match="lasts 32") as refused:
        read_audio(encode(kind, noise(32)))
    assert refused.value.code == "TOO_LONG"


def test_a_guessed_length_refuses_nobody(encode: Encode) -> None:
    """An MP3 file without a Xing header does not say how long it is, and its bit rate may change."""
    file = unmarked(encode("mp3 at 8 kbit/s", noise(1))) + unmarked(encode("mp3 at 160 kbit/s", noise(4)))
    assert len(read_audio(file).samples) == pytest.approx(80_000, abs=4_000)


def test_the_length_of_a_film_is_not_that_of_its_sound(encode: Encode) -> None:
    """A second of sound is an audio segment, however long the pictures beside it last."""
    file = io.BytesIO()
    sound = av.open(io.BytesIO(encode("webm", noise(1))), mode="r")
    with sound, av.open(file, mode="w", format="matroska") as container:
        pictures = small_pictures(container, rate=1)
        stream = container.add_stream_from_template(sound.streams.audio[0])
        for packet in sound.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
        for _ in range(60):
            container.mux(pictures.encode(BLACK))
        container.mux(pictures.encode(None))
    assert len(read_audio(file.getvalue()).samples) == pytest.approx(16_000, abs=400)


def test_a_rate_that_changes_is_damage(encode: Encode) -> None:
    """Case 36: two MP3 files of different rates in one would play at a wrong speed from the seam on."""
    glued = unmarked(encode("mp3", noise(1))) + encode("mp3 at 44.1 kHz", noise(1))
    with pytest.raises(RequestError, match="changes its sample rate") as refused:
        read_audio(glued)
    assert refused.value.code == "AUDIO_CORRUPT"


def test_an_ogg_file_without_its_last_page_is_read_with_a_warning(encode: Encode) -> None:
    """Case 40: cut between two pages, an Ogg file is whole but for its last page's mark, which is said."""
    file = encode("opus", noise(5))
    file = file[: file.rindex(b"OggS")]
    audio = read_audio(file)
    assert 16_000 < len(audio.samples) < 80_000
    assert audio.warnings == ("the Ogg file's last page is not marked as its last",)
    empty_last_page = b"OggS\0\4" + bytes(21)
    assert read_audio(file + empty_last_page).warnings == ()


def test_a_film_without_sound_is_told_so() -> None:
    """Case 41: an MP4 file of pictures only has no audio stream, and says so."""
    file = io.BytesIO()
    with av.open(file, mode="w", format="mp4") as container:
        pictures = small_pictures(container, rate=25)
        container.mux([*pictures.encode(BLACK), *pictures.encode(None)])
    assert code_of(file.getvalue()) == "NO_AUDIO_STREAM"


def remuxed(file: bytes, options: dict[str, str]) -> bytes:
    """The packets of a sound file in an MP4 file written with these `options` of libav."""
    out = io.BytesIO()
    plain = av.open(io.BytesIO(file), mode="r")
    with plain, av.open(out, mode="w", format="mp4", options=options) as container:
        stream = container.add_stream_from_template(plain.streams.audio[0])
        for packet in plain.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return out.getvalue()


def test_encrypted_sound_is_refused_by_what_encryption_leaves(encode: Encode) -> None:
    """Case 46: a file encrypted by libav itself (CENC) is recognised before any of it is decoded."""
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "00" * 16, "encryption_kid": "11" * 16}
    assert code_of(remuxed(encode("m4a", noise(1)), key)) == "UNSUPPORTED_FORMAT"


def test_fragmented_mp4_is_read_up_to_a_sensible_number_of_boxes(encode: Encode) -> None:
    """Recorders write a fragment every now and then; ten thousand boxes are no audio segment."""
    fragmented = {"movflags": "empty_moov+default_base_moof", "frag_duration": "100000"}
    file = remuxed(encode("m4a", noise(5)), fragmented)
    assert file.count(b"moof") > 30
    assert len(read_audio(file).samples) == pytest.approx(80_000, abs=2_048)
    with pytest.raises(RequestError, match="more than 10000 boxes"):
        recognise(file + b"\0\0\0\x08free" * 10_000)


def test_a_flac_bomb_costs_no_more_than_thirty_seconds() -> None:
    """Case 31: kilobytes of FLAC that would become gigabytes are refused by their header, or else as soon as
    30 s have been decoded: 20 minutes of 8 channels must not take more memory than half a minute does."""
    file = io.BytesIO()
    with av.open(file, mode="w", format="flac") as container:
        stream = container.add_stream("flac", rate=8_000, layout="7.1", options={"frame_size": "65535"})
        assert isinstance(stream, AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8 * 65_535), np.int16), format="s16", layout="7.1")
        frame.sample_rate = 8_000
        for _ in range(20 * 60 * 8_000 // 65_535):
            frame.pts = None
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    tracemalloc.start()
    try:
        assert code_of(file.getvalue()) == "TOO_LONG"
        assert code_of(unmarked(file.getvalue())) == "TOO_LONG"
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()


def open_sockets() -> list[str]:
    """This process's sockets, where the system shows them."""
    folder = Path("/proc/self/fd")
    links = (
        [os.readlink(entry) for entry in folder.iterdir() if entry.is_symlink()] if folder.is_dir() else []
    )
    return [link for link in links if link.startswith("socket:")]


@pytest.mark.parametrize("kind", Kind)
def test_nothing_else_is_ever_opened(kind: Kind, speech: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases 43 to 45: even if they got past the first bytes, playlists and session descriptions reach neither
    the network nor another file, because every file is opened as the one kind that it is."""
    monkeypatch.chdir(speech)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        before = open_sockets()
        for hostile in (FFCONCAT, SDP, M3U8 % port, DASH % port):
            with pytest.raises(RequestError):
                decode(hostile, Container(kind=kind))
        assert open_sockets() == before
        with pytest.raises(BlockingIOError):
            server.accept()
