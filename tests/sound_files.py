"""Any sound in any container, made by libav."""

from __future__ import annotations

import io

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

#: libav's format, encoder, rate in Hz and layout for every container that is read.
ENCODERS = {
    "wav": ("wav", "pcm_s16le", 16_000, "mono"),
    "mulaw": ("wav", "pcm_mulaw", 16_000, "mono"),
    "alaw": ("wav", "pcm_alaw", 16_000, "mono"),
    "float": ("wav", "pcm_f32le", 16_000, "mono"),
    "adpcm": ("wav", "adpcm_ima_wav", 16_000, "mono"),
    "flac": ("flac", "flac", 16_000, "mono"),
    "mp3": ("mp3", "libmp3lame", 16_000, "mono"),
    "mp3 at 8 kbit/s": ("mp3", "libmp3lame", 16_000, "mono"),
    "mp3 at 160 kbit/s": ("mp3", "libmp3lame", 16_000, "mono"),
    "mp3 at 44.1 kHz": ("mp3", "libmp3lame", 44_100, "mono"),
    "m4a at 7.35 kHz": ("ipod", "aac", 7_350, "mono"),
    "opus of 16 channels": ("ogg", "libopus", 48_000, "hexadecagonal"),
    "m4a": ("ipod", "aac", 16_000, "mono"),
    "alac": ("ipod", "alac", 16_000, "mono"),
    "opus": ("ogg", "libopus", 48_000, "mono"),
    "matroska": ("matroska", "pcm_s16le", 16_000, "mono"),
    "vorbis": ("ogg", "vorbis", 44_100, "stereo"),
    "webm": ("webm", "libopus", 48_000, "mono"),
}

#: What some of the encoders must be told before they start.
OPTIONS = {
    "vorbis": {"strict": "experimental"},
    "opus of 16 channels": {"mapping_family": "255"},
    "mp3 at 8 kbit/s": {"b": "8000"},
    "mp3 at 160 kbit/s": {"b": "160000"},
}


def encode(kind: str, samples: NDArray[np.int16]) -> bytes:
    """16 kHz mono `samples` as a file of one of `ENCODERS`."""
    format_name, encoder, rate, layout = ENCODERS[kind]
    file = io.BytesIO()
    with av.open(file, mode="w", format=format_name, options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(encoder, rate=rate, layout=layout, options=OPTIONS.get(kind, {}))
        assert isinstance(stream, AudioStream)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return file.getvalue()


def small_pictures(container: OutputContainer, rate: int) -> VideoStream:
    """A new stream of `container` that takes pictures like `black`, `rate` times a second."""
    stream = container.add_stream("mpeg4", rate=rate)
    stream.width = stream.height = 16
    stream.pix_fmt = "yuv420p"
    return stream


def black() -> av.VideoFrame:
    """A small picture."""
    return av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")


def film_without_sound() -> bytes:
    """An MP4 file of pictures only."""
    file = io.BytesIO()
    with av.open(file, mode="w", format="mp4") as container:
        pictures = small_pictures(container, rate=25)
        container.mux([*pictures.encode(black()), *pictures.encode(None)])
    return file.getvalue()
