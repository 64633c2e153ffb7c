"""Anything a caller calls audio becomes the same audio segment, whatever it came in."""

from __future__ import annotations

import io
import os
import sys
import threading
import wave
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import decode_audio
from numpy.typing import NDArray

from producer.audio import AudioLike, encode_payload, read_audio
from producer.long_audio import read_pieces
from producer.source import MAX_BYTES
from protocol.errors import RequestError
from protocol.request import MAX_SAMPLES, Encoding

Encode = Callable[[str, NDArray[np.int16]], bytes]

#: The same eleven seconds of speech, at 16 and 44.1 kHz, mono and stereo, in four containers.
KENNEDY = ("whispercpp_jfk_16k.wav", "whisper_jfk.flac", "whispercpp_jfk.mp3", "wk_jfk_441khz.m4a")


def tone(seconds: float) -> NDArray[np.int16]:
    """300 Hz at a quarter of full scale, 16 kHz int16 ``[n_samples]``."""
    times = np.arange(int(seconds * 16_000)) / 16_000
    return np.asarray(8_000 * np.sin(2 * np.pi * 300 * times), np.int16)


def wav_samples(path: Path) -> NDArray[np.int16]:
    """What the standard library reads from a 16-bit mono WAV file."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def test_16_khz_mono_int16_comes_through_bit_for_bit(speech: Path) -> None:
    """What needs no conversion is not changed, neither by us nor against what faster-whisper would hear."""
    path = speech / "whispercpp_jfk_16k.wav"
    samples = read_audio(path).samples
    np.testing.assert_array_equal(samples, wav_samples(path))
    whispers = np.rint(decode_audio(str(path)) * 32_768)
    assert np.abs(samples - whispers).max() <= 1


@pytest.mark.parametrize("name", KENNEDY)
def test_one_recording_sounds_the_same_in_every_container(speech: Path, name: str) -> None:
    """Container, codec, rate and channels change neither how long speech lasts nor how it sounds."""
    expected = read_audio(speech / KENNEDY[0]).samples
    heard = read_audio(speech / name).samples
    assert len(heard) == pytest.approx(len(expected), abs=0.15 * 16_000)
    assert correlation(heard, expected) > 0.95


def correlation(one: NDArray[np.int16], other: NDArray[np.int16]) -> float:
    """The highest normalised correlation of two sounds, at whatever delay."""
    size = 1 << (len(one) + len(other)).bit_length()
    spectra = [np.fft.rfft(samples.astype(np.float64), size) for samples in (one, other)]
    energies = [np.linalg.norm(samples.astype(np.float64)) for samples in (one, other)]
    return float(np.fft.irfft(spectra[0] * spectra[1].conj()).max() / np.prod(energies))


def test_every_file_of_human_speech_is_read(speech: Path) -> None:
    """Real files from several sources decode without a warning, to sound of the length that they state."""
    files = sorted(path for path in speech.iterdir() if path.suffix not in (".txt", ".md"))
    assert len(files) == 13
    for path in files:
        audio = read_audio(path)
        assert audio.warnings == ()
        assert len(audio.samples) == pytest.approx(len(decode_audio(str(path))), abs=2)


@pytest.mark.parametrize("kind", ["flac", "alac", "wav"])
def test_lossless_containers_give_the_samples_back(encode: Encode, kind: str) -> None:
    """Lossless is lossless: 16 kHz int16 in FLAC, ALAC or WAV comes out as it went in."""
    samples = tone(1.0)
    np.testing.assert_array_equal(read_audio(encode(kind, samples)).samples, samples)


@pytest.mark.parametrize("kind", ["mp3", "m4a", "opus", "vorbis", "webm", "mulaw", "alaw"])
def test_lossy_containers_give_the_sound_back(encode: Encode, kind: str) -> None:
    """Every lossy codec that is let in sounds like what went in."""
    samples = tone(1.0)
    heard = read_audio(encode(kind, samples)).samples
    assert len(heard) == pytest.approx(16_000, abs=2_500)
    assert correlation(heard, samples) > 0.95


def test_mp3_needs_no_tag(encode: Encode) -> None:
    """An MP3 stream that begins with its first frame is as good as one with an ID3 tag before it."""
    file = encode("mp3", tone(1.0))
    bare = file[file.index(b"\xff\xf3") :]
    np.testing.assert_array_equal(read_audio(bare).samples, read_audio(file).samples)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "m4a", "opus", "vorbis", "webm"])
def test_the_longest_audio_segment_fits_in_every_container(encode: Encode, kind: str) -> None:
    """30 s are 30 s: the padding that a codec adds at the end does not make them too long."""
    assert len(read_audio(encode(kind, tone(30.0))).samples) == pytest.approx(MAX_SAMPLES, abs=320)


@pytest.mark.parametrize(("bits", "tolerance"), [(8, 256), (16, 0), (24, 0), (32, 0)])
def test_wav_is_read_at_every_depth(bits: int, tolerance: int) -> None:
    """8-bit WAV is unsigned, the others signed; deeper samples are rounded to 16 bits."""
    samples = tone(0.5)
    deep = samples.astype("<i4") << 16
    stored = {
        8: ((samples >> 8) + 128).astype(np.uint8).tobytes(),
        16: samples.astype("<i2").tobytes(),
        24: deep.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes(),
        32: deep.tobytes(),
    }
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, bits // 8, 16_000, 0, "NONE", ""))
        out.writeframes(stored[bits])
    heard = read_audio(file.getvalue()).samples
    assert np.abs(heard.astype(int) - samples).max() <= tolerance


def test_all_ways_to_hand_over_a_file_are_one(speech: Path) -> None:
    """A path, its text, its bytes in any buffer and the open file give the same audio segment."""
    path = speech / "lhotse_LJ002-0020.wav"
    data = path.read_bytes()
    with path.open("rb") as buffered, path.open("rb", buffering=0) as raw:
        ways: list[AudioLike] = [
            str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), buffered, raw
        ]  # fmt: skip
        heard = [read_audio(way).samples for way in ways]
    for samples in heard:
        np.testing.assert_array_equal(samples, read_audio(path).samples)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "m4a", "opus", "webm"])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".txt", ""])
def test_files_are_known_by_their_bytes_and_not_by_their_names(
    encode: Encode, tmp_path: Path, kind: str, suffix: str
) -> None:
    """Case 47: a FLAC file called .wav is a FLAC file, and nothing is made of the name's being wrong."""
    file = encode(kind, tone(0.5))
    misnamed = tmp_path / f"speech{suffix}"
    misnamed.write_bytes(file)
    audio = read_audio(misnamed)
    np.testing.assert_array_equal(audio.samples, read_audio(file).samples)
    assert audio.warnings == ()


def test_short_reads_are_not_the_end() -> None:
    """A file object may give a few bytes at a time, as sockets do."""

    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 1_000))

    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(tone(0.5).tobytes())
    assert len(read_audio(Trickle(file.getvalue())).samples) == 8_000


#: How often a name is opened while it changes: each time takes about a millisecond.
SWAPS = 300


def read_recording(path: str | Path) -> object:
    return list(read_pieces(path, sample_rate=None, warn=id))


def link(folder: Path, target: str | Path) -> Path:
    """A symbolic link in `folder`."""
    (folder / "link").symlink_to(target)
    return folder / "link"


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda folder: folder / "absent.wav", "FILE_NOT_FOUND"),
        (lambda _: "no\0such", "FILE_NOT_FOUND"),
        (lambda _: "x" * 5_000, "FILE_UNREADABLE"),
        (lambda folder: folder, "PATH_FORBIDDEN"),
        (lambda _: "/dev/zero", "PATH_FORBIDDEN"),
        (fifo, "PATH_FORBIDDEN"),
        (lambda _: os.devnull, "PATH_FORBIDDEN"),
        (lambda folder: link(folder, "/dev/zero"), "PATH_FORBIDDEN"),
        (lambda folder: link(folder, fifo(folder)), "PATH_FORBIDDEN"),
        (lambda folder: link(folder, folder), "PATH_FORBIDDEN"),
        (lambda folder: link(folder, folder / "absent.wav"), "FILE_NOT_FOUND"),
        (lambda folder: link(folder, folder / "link"), "FILE_UNREADABLE"),
        (lambda folder: folder / ".." / "absent.wav", "FILE_NOT_FOUND"),
        (lambda _: __file__, "UNSUPPORTED_FORMAT"),
    ],
    ids="absent NUL long folder device FIFO null to-device to-FIFO to-folder to-absent to-itself"
    " above text".split(),
)
@pytest.mark.parametrize("read", [read_audio, read_recording], ids=["segment", "recording"])
def test_only_sound_in_regular_files_is_read(
    tmp_path: Path, make: Callable[[Path], str | Path], code: str, read: Callable[[str | Path], object]
) -> None:
    """Case 60: whatever else a path or a link names is refused, and nothing waits on it."""
    with pytest.raises(RequestError) as refused:
        read(make(tmp_path))
    assert refused.value.code == code


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("read", [read_audio, read_recording], ids=["segment", "recording"])
def test_what_is_in_other_files_is_not_told(tmp_path: Path, read: Callable[[str | Path], object]) -> None:
    """Case 60: a file that is no sound is refused, and the error says nothing of what is in it. Those of
    /proc say that they are empty, which whoever looks at the size first believes."""
    for path in ("/proc/self/environ", link(tmp_path, "/proc/self/environ")):
        with pytest.raises(RequestError) as refused:
            read(path)
        assert refused.value.code in {"UNSUPPORTED_FORMAT", "AUDIO_EMPTY"}
        assert "PATH=" not in refused.value.message


def test_a_link_to_a_file_is_that_file(speech: Path, tmp_path: Path) -> None:
    """Paths come from the caller's own machine and program: a link, `..` and an absolute path are fine."""
    path = speech / KENNEDY[0]
    expected = read_audio(path).samples
    for way in (link(tmp_path, path), speech / ".." / speech.name / path.name, path.absolute()):
        np.testing.assert_array_equal(read_audio(way).samples, expected)


def test_what_is_checked_is_what_is_read(speech: Path, tmp_path: Path) -> None:
    """Case 60: a name that changes between a file and a FIFO all the time is the one or the other, and never
    waited for: the file is opened first, and checked as it was opened."""
    file, pipe, name = link(tmp_path, speech / KENNEDY[0]), fifo(tmp_path), tmp_path / "name"
    name.symlink_to(file)
    is_over = threading.Event()

    def swap() -> None:
        new = tmp_path / "new"
        for target in cycle((pipe, file)):
            if is_over.is_set():
                return
            new.symlink_to(target)
            new.replace(name)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        seen = Counter(outcome(name) for _ in range(SWAPS))
    finally:
        is_over.set()
        swapping.join()
    assert set(seen) <= {"read", "PATH_FORBIDDEN"}


def outcome(path: Path) -> str | None:
    try:
        return "read" if len(read_audio(path).samples) else None
    except RequestError as error:
        return error.code


def test_nothing_larger_than_the_limit_is_read(tmp_path: Path) -> None:
    """A file is refused by its size, a stream once it has given one byte too many."""

    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1, /) -> bytes:
            self.given += size
            return bytes(size)

    sparse, stream = tmp_path / "sparse.wav", Endless()
    with sparse.open("wb") as file:
        file.truncate(10**12)
    for large, seen in ((sparse, 10**12), (stream, MAX_BYTES + 1), (bytes(MAX_BYTES + 2), MAX_BYTES + 2)):
        with pytest.raises(RequestError, match=f"at least {seen} bytes") as refused:
            read_audio(large)  # type: ignore[arg-type]  # a raw stream is no BinaryIO to the type checker
        assert refused.value.code == "TOO_LARGE"
    assert stream.given == MAX_BYTES + 1


class Broken(io.BytesIO):
    """A file whose reading fails."""

    def read(self, _: int | None = -1, /) -> bytes:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (io.StringIO("RIFF"), "BAD_REQUEST"),
        (Broken(), "FILE_UNREADABLE"),
        ([0.0, 0.1], "BAD_REQUEST"),
        (None, "BAD_REQUEST"),
        (16_000, "BAD_REQUEST"),
    ],
    ids=["text file", "broken file", "list", "None", "number"],
)
def test_what_holds_no_bytes_is_refused(given: AudioLike, code: str) -> None:
    """The error says what was given and what is expected instead."""
    with pytest.raises(RequestError) as refused:
        read_audio(given)
    assert refused.value.code == code


def test_a_file_brings_its_own_rate(speech: Path) -> None:
    """A sample rate beside a file would contradict the file or say nothing: it is refused."""
    with pytest.raises(RequestError) as refused:
        read_audio(speech / KENNEDY[0], sample_rate=16_000)
    assert refused.value.code == "BAD_SAMPLE_RATE"


def test_pcm_payload_is_little_endian_samples_and_nothing_else() -> None:
    """Two bytes a sample, low byte first, on every machine."""
    assert encode_payload(np.array([1, -2, 256], np.int16), Encoding.PCM) == b"\x01\x00\xfe\xff\x00\x01"


def test_flac_payload_is_smaller_and_loses_nothing(speech: Path) -> None:
    """FLAC saves a third of real speech and decodes to the very samples."""
    samples = read_audio(speech / KENNEDY[0]).samples
    payload = encode_payload(samples, Encoding.FLAC)
    assert len(payload) < 0.67 * samples.nbytes
    np.testing.assert_array_equal(read_audio(payload).samples, samples)


@pytest.mark.parametrize("encoding", Encoding)
def test_payloads_hold_what_a_view_shows(encoding: Encoding) -> None:
    """Samples that do not lie side by side in memory are encoded as if they did."""
    wide = np.repeat(tone(1.0), 2)
    assert encode_payload(wide[::2], encoding) == encode_payload(tone(1.0), encoding)
