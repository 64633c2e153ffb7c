"""Sound files to sound with libav, which is given bytes in memory and no means to open anything else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer
from numpy.typing import NDArray

from producer.container import Container, Kind
from producer.sound import Sound, check_channels, check_range, check_rate, mix
from protocol.errors import RequestError
from protocol.request import MAX_SECONDS, SAMPLE_RATE, wrong_length

#: Codecs that are decoded, by libav's canonical names, and by how much their length may be off, in seconds.
#: Lossy codecs put silence before and after the sound and do not always say how much: AAC two frames of 1024
#: samples, 128 ms at 16 kHz. The others only round to milliseconds.
PADDING = {
    "aac": 0.13, "mp3": 0.13, "opus": 0.13, "vorbis": 0.13,
    "alac": 0.001, "flac": 0.001, "pcm_alaw": 0.001, "pcm_mulaw": 0.001,
}  # fmt: skip

#: How far a stated length may exceed the limit before the file is refused undecoded, in seconds: it may
#: count padding that the decoder drops, and a second more is decoded in no time.
STATED_SLACK = 1.0

#: Share of the packets, and of the stated length, that may be missing before the file is refused; one packet
#: always may.
MAX_LOST_SHARE = 0.05


def decode(file: bytes, container: Container) -> Sound:
    """Decode the first audio stream of `file`, at most as much as an audio segment may hold.

    Raises:
        RequestError: no sound in it, not a known codec, damaged, cut short, or too long.
    """
    with _renamed_errors(), _opened(file, container.kind) as opened:
        stream = _audio_stream(opened)
        stated = _stated_seconds(opened, stream) if container.states_length else None
        if stated is not None and stated > MAX_SECONDS + STATED_SLACK:
            raise wrong_length(int(stated * SAMPLE_RATE))
        heard = _decode_packets(opened, stream)
    sound = heard.sound(stated)
    return replace(sound, warnings=container.warnings + sound.warnings)


def _opened(file: bytes, kind: Kind) -> InputContainer:
    """`file` opened as `kind` and nothing else: no probing, no playlists, no protocols."""
    options = {
        "format_whitelist": "mov,mp4" if kind is Kind.MP4 else kind.value,
        "protocol_whitelist": "none",
        "probesize": "1048576",
        "analyzeduration": "1000000",
    }
    return av.open(io.BytesIO(file), mode="r", format=kind.value, options=options, metadata_errors="ignore")


def _audio_stream(opened: InputContainer) -> AudioStream:
    if not opened.streams:
        raise _corrupt("describes no stream")
    if not opened.streams.audio:
        raise RequestError("the file holds no sound", "NO_AUDIO_STREAM")
    stream = opened.streams.audio[0]
    codec = _codec(stream)
    if codec not in PADDING:
        raise RequestError(
            f"the sound is coded as {codec}: expected one of {', '.join(PADDING)}", "UNSUPPORTED_CODEC"
        )
    if codec == "flac":
        # Its checksums are otherwise not looked at, and damage becomes noise.
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
    return stream


def _codec(stream: AudioStream) -> str:
    """The canonical name of what `stream` is coded with, as far as libav has a decoder for it."""
    context: CodecContext | None = stream.codec_context
    return context.codec.canonical_name if context else "something unknown"


def _stated_seconds(opened: InputContainer, stream: AudioStream) -> float | None:
    """The length that the file claims; that of the whole file only if the sound is all it holds."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if opened.duration and len(opened.streams) == 1:
        return opened.duration / av.time_base
    return None


@dataclass(slots=True)
class _Decoded:
    """What has come out of the decoder so far."""

    padding: float
    """By how much its length may be off, in seconds."""
    rate: int = 0
    n_samples: int = 0
    packets: int = 0
    lost: int = 0
    chunks: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, frame: AudioFrame) -> None:
        """Mix `frame` down and keep it; refuse it before that if it would be too long."""
        self.rate = self.rate or check_rate(frame.sample_rate)
        if frame.sample_rate != self.rate:
            raise _corrupt(f"changes its sample rate from {self.rate} to {frame.sample_rate} Hz")
        check_channels(frame.layout.nb_channels)  # first: PyAV 18.1 crashes on 16 planar channels
        self.n_samples += frame.samples
        if self.n_samples > (MAX_SECONDS + self.padding) * self.rate:
            raise RequestError(
                f"the audio is longer than {MAX_SECONDS:.0f} s, the longest audio segment", "TOO_LONG"
            )
        self.chunks.append(mix(_channels_last(frame)))

    def sound(self, stated: float | None) -> Sound:
        """All of it, if there is enough of it; `stated` is the length that the file claims, in seconds."""
        if not self.n_samples:
            raise _corrupt("holds nothing that can be decoded") if self.lost or stated else wrong_length(0)
        warnings = self._lost() + self._missing(stated or 0.0)
        samples = np.concatenate(self.chunks)
        check_range(samples)
        longest = int(MAX_SECONDS * self.rate)
        if len(samples) > longest:
            warnings += (f"the last {len(samples) / self.rate - MAX_SECONDS:.3f} s were cut off as padding",)
        return Sound(samples=samples[:longest], rate=self.rate, warnings=warnings)

    def _lost(self) -> tuple[str, ...]:
        damage = f"{self.lost} of {self.packets} packets are damaged"
        if self.lost > max(1, MAX_LOST_SHARE * self.packets):
            raise _corrupt(f"cannot be decoded: {damage}")
        return (f"{damage} and were left out",) if self.lost else ()

    def _missing(self, stated: float) -> tuple[str, ...]:
        seconds = self.n_samples / self.rate
        shortage = f"the file holds {seconds:.2f} of the {stated:.2f} s it claims"
        missing = stated - seconds - self.padding
        if missing > MAX_LOST_SHARE * stated:
            raise RequestError(shortage, "AUDIO_TRUNCATED")
        return (shortage,) if missing > 0 else ()


def _decode_packets(opened: InputContainer, stream: AudioStream) -> _Decoded:
    decoded = _Decoded(padding=PADDING[_codec(stream)])
    for packet in opened.demux(stream):
        decoded.packets += 1
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            decoded.lost += 1
            continue
        for frame in frames:
            decoded.add(frame)
    return decoded


def _channels_last(frame: AudioFrame) -> NDArray[Any]:
    """The samples of `frame`, shape ``[n_samples, n_channels]``."""
    samples: NDArray[Any] = frame.to_ndarray()
    return samples.T if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)


@contextmanager
def _renamed_errors() -> Iterator[None]:
    """libav's errors, and PyAV's own about what libav handed it, as ours."""
    try:
        yield
    except (av.error.FFmpegError, ValueError) as error:
        raise _corrupt(f"cannot be decoded: {type(error).__name__}") from error


def _corrupt(what: str) -> RequestError:
    return RequestError(f"the file {what}", "AUDIO_CORRUPT")
