"""The door to libav: a file is opened as the one kind that it is, with no means to open anything else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet
from numpy.typing import NDArray

from producer.container import Kind
from producer.sound import check_channels
from protocol.errors import RequestError

#: Codecs that are decoded, by libav's canonical names, and by how much their length may be off, in seconds.
#: Lossy codecs put silence before and after the sound and do not always say how much: AAC two frames of 1024
#: samples, 128 ms at 16 kHz. The others only round to milliseconds.
PADDING = {
    "aac": 0.13, "mp3": 0.13, "opus": 0.13, "vorbis": 0.13,
    "alac": 0.001, "flac": 0.001, "pcm_alaw": 0.001, "pcm_mulaw": 0.001,
}  # fmt: skip


def open_as(file: BinaryIO, kind: Kind) -> InputContainer:
    """`file` opened as `kind` and nothing else: no probing, no playlists, no protocols."""
    options = {
        "format_whitelist": "mov,mp4" if kind is Kind.MP4 else kind.value,
        "protocol_whitelist": "none",
        "probesize": "1048576",
        "analyzeduration": "1000000",
    }
    return av.open(file, mode="r", format=kind.value, options=options, metadata_errors="ignore")


def audio_stream(source: InputContainer) -> AudioStream:
    """The first audio stream, of a codec that is decoded.

    Raises:
        RequestError: there is none, or it is coded in another way.
    """
    if not source.streams:
        raise corrupt("describes no stream")
    if not source.streams.audio:
        raise RequestError("the file holds no sound", "NO_AUDIO_STREAM")
    stream = source.streams.audio[0]
    codec = codec_of(stream)
    if codec not in PADDING:
        raise RequestError(
            f"the sound is coded as {codec}: expected one of {', '.join(PADDING)}", "UNSUPPORTED_CODEC"
        )
    if codec == "flac":
        # Its checksums are otherwise not looked at, and damage becomes noise.
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
    return stream


def codec_of(stream: AudioStream) -> str:
    """The canonical name of what `stream` is coded with, as far as libav has a decoder for it."""
    context: CodecContext | None = stream.codec_context
    return context.codec.canonical_name if context else "something unknown"


def stated_seconds(source: InputContainer, stream: AudioStream) -> float | None:
    """The length that the file claims; that of the whole file only if the sound is all it holds."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if source.duration and len(source.streams) == 1:
        return source.duration / av.time_base
    return None


def frames_of(packet: Packet[AudioStream]) -> list[AudioFrame] | None:
    """What `packet` holds, or None if it is damaged. Raises `MemoryError` rather than call that damage."""
    try:
        return list(packet.decode())
    except MemoryError:
        raise
    except av.error.FFmpegError:
        return None


def channels_last(frame: AudioFrame) -> NDArray[Any]:
    """The samples of `frame`, shape ``[n_samples, n_channels]``.

    Raises:
        RequestError: it has more channels than are mixed. PyAV 18.1 crashes on 16 planar ones.
    """
    check_channels(frame.layout.nb_channels)
    samples: NDArray[Any] = frame.to_ndarray()
    return samples.T if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)


@contextmanager
def libav_errors() -> Iterator[None]:
    """libav's errors, and PyAV's own about what libav handed it, as ours; want of memory stays what it is."""
    try:
        yield
    except MemoryError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise corrupt(f"cannot be decoded: {type(error).__name__}") from error


def corrupt(what: str) -> RequestError:
    """The error of a file of which `what` is true."""
    return RequestError(f"the file {what}", "AUDIO_CORRUPT")
