"""Clips on disk: 16 kHz mono, 16-bit FLAC."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000


def write_flac(path: Path, samples: NDArray[np.int16]) -> None:
    """Write samples of shape ``[n_samples]``."""
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    with av.open(path, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", format="s16")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def as_floats(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """The same samples from −1 to 1."""
    return samples.astype(np.float32) / np.float32(32_768)


def read_flac(path: Path) -> NDArray[np.int16]:
    """The samples of a file that `write_flac` wrote, or one like it, shape ``[n_samples]``.

    Raises:
        ValueError: it is not 16 kHz mono.
    """
    with av.open(path) as container:
        stream = container.streams.audio[0]
        if (stream.rate, stream.channels) != (SAMPLE_RATE, 1):
            raise ValueError(f"{path}: {stream.rate} Hz, {stream.channels} channels, not 16 kHz mono")
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)]).astype(np.int16)
