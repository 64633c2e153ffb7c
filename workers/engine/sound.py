"""What an engine has made to be heard → a sound file, which travels in its outcome."""

from __future__ import annotations

import io
import wave
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike

#: Sample rates are below it, in Hz: nobody hears more, and a WAV file has 32 bits for it.
MAX_RATE = 1_000_000


def wav_file(samples: ArrayLike, sample_rate: int) -> bytes:
    """A WAV file of 16 bit, for `Heard.audio`.

    Args:
        samples: mono, shape ``[n_samples]``: int16, or floats from −1 to 1. What is beyond is clipped.
        sample_rate: in Hz.

    Raises:
        ValueError: they are something else.
    """
    samples = np.asarray(samples)
    is_whole = isinstance(sample_rate, Integral) and not isinstance(sample_rate, bool)
    if not (is_whole and 0 < sample_rate < MAX_RATE):
        raise ValueError(f"sample_rate is {sample_rate!r}: expected a whole number of Hz below {MAX_RATE}")
    is_int16 = samples.dtype.kind == "i" and samples.dtype.itemsize == 2
    if samples.ndim != 1 or not (is_int16 or samples.dtype.kind == "f"):
        raise ValueError(f"{samples.dtype} of shape {samples.shape}: expected int16 or floats of shape [n]")
    if not is_int16:
        if not np.isfinite(samples).all():
            raise ValueError("the samples are not all finite")
        samples = np.clip(np.rint(samples * np.float64(32_768)), -32_768, 32_767)
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, int(sample_rate), 0, "NONE", ""))
        wav.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()
