"""Everything known to go wrong with sound files gets its code, and harms nobody else's sound."""

from __future__ import annotations

import io
import os
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from producer.audio import read_audio
from producer.container import Container, Kind, recognise
from producer.decoding import decode
from protocol.errors import RequestError
from tests.bad_sound import (
    BAD_BYTES,
    BAD_FILES,
    CODED,
    DASH,
    FFCONCAT,
    GUID_TAIL,
    M3U8,
    SDP,
    chunk,
    floats,
    noise,
    says,
    unmarked,
    wav,
)
from tests.bombs import flac_of_silence, opus_of_silence
from tests.sound_files import black, small_pictures

Encode = Callable[[str, NDArray[np.int16]], bytes]


def check_refused(file: bytes, code: str, said: str) -> None:
    with pytest.raises(RequestError) as refused:
        read_audio(file)
    message = refused.value.message
    assert (refused.value.code, message if says(message, said) else said) == (code, message)


def code_of(file: bytes) -> str:
    with pytest.raises(RequestError) as refused:
        read_audio(file)
    return refused.value.code


@pytest.mark.parametrize(("file", "code", "said"), [pytest.param(*row, id=case) for case, *row in BAD_BYTES])
def test_bad_bytes_get_their_code(file: bytes, code: str, said: str) -> None:
    """Bytes that are no sound, or lie about it in their header, are refused with the code for that, and with
    the value and the limit."""
    check_refused(file, code, said)


@pytest.mark.parametrize(
    ("kind", "seconds", "change", "code", "said"), [pytest.param(*row, id=case) for case, *row in BAD_FILES]
)
def test_bad_files_get_their_code(
    encode: Encode, kind: str, seconds: float, change: Callable[[bytes], bytes], code: str, said: str
) -> None:
    """Files too long, cut short, damaged or of a codec not let in are refused with the code for that."""
    check_refused(change(encode(kind, noise(seconds))), code, said)


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
            container.mux(pictures.encode(black()))
        container.mux(pictures.encode(None))
    assert len(read_audio(file.getvalue()).samples) == pytest.approx(16_000, abs=400)


def test_an_ogg_file_without_its_last_page_is_read_with_a_warning(encode: Encode) -> None:
    """Case 40: cut between two pages, an Ogg file is whole but for its last page's mark, which is said."""
    file = encode("opus", noise(5))
    file = file[: file.rindex(b"OggS")]
    audio = read_audio(file)
    assert 16_000 < len(audio.samples) < 80_000
    assert audio.warnings == ("the Ogg file's last page is not marked as its last",)
    empty_last_page = b"OggS\0\4" + bytes(21)
    assert read_audio(file + empty_last_page).warnings == ()


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


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(lambda: flac_of_silence(36_000), id="31 10 h of FLAC"),
        pytest.param(lambda: unmarked(flac_of_silence(36_000)), id="31 10 h of FLAC unannounced"),
        pytest.param(lambda: opus_of_silence(86_400), id="32 24 h of Opus"),
        pytest.param(lambda: opus_of_silence(86_400, said=1), id="32 24 h of Opus said to be 1 s"),
    ],
)
def test_a_bomb_costs_no_more_than_thirty_seconds(bomb: Callable[[], bytes]) -> None:
    """Kilobytes that would become gigabytes are refused by their header, or else as soon as 30 s have been
    decoded."""
    file = bomb()
    assert code_of(file) == "TOO_LONG"
    tracemalloc.start()
    try:
        with pytest.raises(RequestError):
            decode(io.BytesIO(file), recognise(file))
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("make", "slack"), [(flac_of_silence, 0), (opus_of_silence, 2_000)])
def test_bombs_are_sound_files_but_for_their_length(make: Callable[[int], bytes], slack: int) -> None:
    """Or they would be refused for something else: 20 s of the same are read without a warning."""
    audio = read_audio(make(20))
    assert audio.warnings == ()
    assert 0 <= 320_000 - len(audio.samples) <= slack


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
                decode(io.BytesIO(hostile), Container(kind=kind))
        assert open_sockets() == before
        with pytest.raises(BlockingIOError):
            server.accept()
