"""Whatever the bytes, reading them ends in an audio segment or in a `RequestError`."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from producer.audio import read_audio
from producer.container import Kind
from producer.libav import channels_last, open_as
from producer.sound import mix
from producer.wav import parse
from protocol.errors import RequestError
from protocol.request import MAX_SAMPLES, MIN_SAMPLES
from tests.bad_sound import wav

Encode = Callable[[str, NDArray[np.int16]], bytes]
Change = Callable[[bytes, list[bytes]], bytes]

MAGIC = (
    b"RIFF\0\0\0\0WAVEfmt ",
    b"fLaC",
    b"OggS",
    b"\0\0\0\x08ftyp",
    b"\x1a\x45\xdf\xa3",
    b"ID3\4",
    b"\xff\xfb\x90\x64",
)

places = st.floats(0, 1, exclude_max=True)


@pytest.fixture(scope="module")
def files(encode: Encode, speech: Path) -> list[bytes]:
    """A second and a half of human speech in every container."""
    samples = read_audio(speech / "lhotse_LJ002-0020.wav").samples
    return [
        encode(kind, samples)
        for kind in ("wav", "float", "mulaw", "flac", "mp3", "m4a", "opus", "vorbis", "webm")
    ]


def flip(place: float, mask: int) -> Change:
    def change(file: bytes, _: list[bytes]) -> bytes:
        at = int(place * len(file))
        return file[:at] + bytes([file[at] ^ mask]) + file[at + 1 :] if file else file

    return change


def cut(start: float, end: float) -> Change:
    return lambda file, _: file[: int(start * len(file))] + file[int(end * len(file)) :]


def splice(other: int, place: float, start: float) -> Change:
    def change(file: bytes, files: list[bytes]) -> bytes:
        donor = files[other % len(files)]
        return file[: int(place * len(file))] + donor[int(start * len(donor)) :]

    return change


def lie(place: float, number: bytes) -> Change:
    """Write four bytes somewhere in the first kilobyte, where headers keep their sizes."""

    def change(file: bytes, _: list[bytes]) -> bytes:
        at = int(place * min(len(file), 1_024))
        return file[:at] + number + file[at + 4 :]

    return change


changes = st.one_of(
    st.builds(flip, places, st.integers(1, 255)),
    st.builds(cut, places, places),
    st.builds(splice, st.integers(0, 8), places, places),
    st.builds(
        lie, places, st.sampled_from([bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"])
    ),
)


def check(file: bytes) -> None:
    try:
        audio = read_audio(file)
    except RequestError:
        return
    assert audio.samples.dtype == np.int16
    assert MIN_SAMPLES <= len(audio.samples) <= MAX_SAMPLES


@settings(max_examples=200)
@given(which=st.integers(0, 8), applied=st.lists(changes, min_size=1, max_size=6))
def test_damaged_files_are_read_or_refused(files: list[bytes], which: int, applied: list[Change]) -> None:
    """Flipped bits, cuts, splices and lies in headers raise nothing but `RequestError`."""
    file = files[which]
    for change in applied:
        file = change(file, files)
    check(file)


@settings(max_examples=200)
@given(magic=st.sampled_from(MAGIC), rest=st.binary(max_size=400))
def test_invented_files_are_read_or_refused(magic: bytes, rest: bytes) -> None:
    """Bytes that begin like sound raise nothing but `RequestError`."""
    check(magic + rest)


@settings(max_examples=100)
@given(
    stored=st.sampled_from([(1, 8, "u1"), (1, 16, "<i2"), (1, 32, "<i4"), (3, 32, "<f4"), (3, 64, "<f8")]),
    channels=st.integers(1, 8),
    rate=st.sampled_from([8_000, 16_000, 44_100, 192_000]),
    frames=st.integers(1, 2_000),
    seed=st.integers(0, 2**32 - 1),
)
def test_wav_is_what_libav_takes_it_for(
    stored: tuple[int, int, str], channels: int, rate: int, frames: int, seed: int
) -> None:
    """Our own parser and libav's hear the same in the same bytes, to a 65 536th of full scale."""
    tag, bits, dtype = stored
    sound = np.random.default_rng(seed).uniform(-1, 1, frames * channels)
    scaled = sound * (2 ** (bits - 1) - 1) if tag == 1 else sound
    data = (scaled + 128 if bits == 8 else scaled).astype(dtype)
    file = wav(data, tag=tag, channels=channels, rate=rate, bits=bits)
    with open_as(io.BytesIO(file), Kind.WAV) as opened:
        theirs = np.concatenate([mix(channels_last(frame)) for frame in opened.decode(audio=0)])
    np.testing.assert_allclose(mix(parse(file).samples()), theirs, rtol=0, atol=1 / 65_536)


@settings(max_examples=100)
@given(which=st.integers(3, 8), applied=st.lists(changes, min_size=1, max_size=6))
def test_what_cannot_be_read_leaves_the_next_file_alone(
    files: list[bytes], which: int, applied: list[Change]
) -> None:
    """After whatever native code has been given, a whole file sounds as it did before."""
    file = files[which]
    for change in applied:
        file = change(file, files)
    check(file)
    np.testing.assert_array_equal(read_audio(files[3]).samples, read_audio(files[0]).samples)
