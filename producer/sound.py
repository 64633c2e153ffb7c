"""Decoded sound at any rate, and how it becomes the 16 kHz mono int16 of an audio segment."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from protocol.errors import RequestError
from protocol.request import MAX_SAMPLES, MIN_SAMPLES, SAMPLE_RATE, wrong_length

#: Accepted sample rates in Hz: telephony to studio. A forged rate of 1 Hz would make 16 000 samples of
#: each one in the file, a forged 4 GHz none at all.
MIN_RATE, MAX_RATE = 8_000, 192_000

#: Most channels that are mixed down: 7.1 surround.
MAX_CHANNELS = 8

#: Largest float sample that still looks like sound on a wrong scale. Mixing and resampling overshoot 1
#: by small factors; anything beyond 8 is another unit (int16 values in a float array) or garbage.
MAX_PEAK = 8.0

#: Share of samples at full scale above which a recording counts as clipped: a pure tone that just reaches
#: full scale has 1 %, speech far less.
CLIPPED_SHARE = 0.02

#: Kinds of samples whose scale is unambiguous: those that WAV files hold.
SAMPLE_TYPES = tuple(np.dtype(name) for name in ("uint8", "int16", "int32", "float16", "float32", "float64"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """Decoded mono sound, on its way to an audio segment."""

    samples: NDArray[np.float32] = field(repr=False)
    """Shape ``[n_samples]``; nominally −1..1, lossy codecs overshoot a little."""
    rate: int
    warnings: tuple[str, ...] = ()


def mixed(samples: NDArray[Any], rate: int, warnings: tuple[str, ...] = ()) -> Sound:
    """Check `samples`, shape ``[n_samples, n_channels]`` and one of `SAMPLE_TYPES`, and mix them down.

    Float samples that peak between 1 and `MAX_PEAK` are divided by their peak, with a warning.

    Raises:
        RequestError: too short or long, not finite, or out of range.
    """
    check_length(len(samples), rate)
    if samples.dtype.kind == "f":
        peak = check_range(samples)
        if peak > 1.0:
            samples = samples.astype(np.float32) / np.float32(peak)
            warnings += (f"the samples peak at {peak:.4g}: divided by that to fit −1..1",)
    return Sound(samples=mix(samples), rate=rate, warnings=warnings)


def mix(samples: NDArray[Any]) -> NDArray[np.float32]:
    """The mean of the channels of ``[n_samples, n_channels]``, integers scaled to −1..1."""
    scaled = samples.astype(np.float32)
    if samples.dtype.kind == "u":
        scaled = (scaled - np.float32(128)) / np.float32(128)
    elif samples.dtype.kind == "i":
        scaled /= np.float32(1 << 8 * samples.dtype.itemsize - 1)
    if scaled.shape[1] == 1:
        only: NDArray[np.float32] = scaled[:, 0]
        return only
    with np.errstate(invalid="ignore"):  # infinities of opposite sign, from a decoder: refused by check_range
        mono: NDArray[np.float32] = scaled.mean(axis=1, dtype=np.float32)
    return mono


def resampled(sound: Sound) -> NDArray[np.int16]:
    """`sound` at 16 kHz in int16, shape ``[n_samples]``; 16 kHz int16 comes through bit for bit.

    Raises:
        RequestError: too short or long.
    """
    samples = sound.samples
    if sound.rate != SAMPLE_RATE:
        samples = soxr.resample(samples, sound.rate, SAMPLE_RATE, quality="HQ")[:MAX_SAMPLES]
    check_length(len(samples), SAMPLE_RATE)
    return np.rint(samples * 32_768).clip(-32_768, 32_767).astype(np.int16)


def clipping(samples: NDArray[np.int16]) -> tuple[str, ...]:
    """A warning if more than `CLIPPED_SHARE` of `samples` are at full scale."""
    if np.minimum.reduce(samples) > -32_768 and np.maximum.reduce(samples) < 32_767:
        return ()  # nearly always, and found in a quarter of the time, for 10 s
    share = np.count_nonzero((samples == 32_767) | (samples == -32_768)) / len(samples)
    return (f"{share:.0%} of the samples are at full scale: clipped?",) if share > CLIPPED_SHARE else ()


def check_range(samples: NDArray[np.floating[Any]]) -> float:
    """Return the peak of float `samples`; refuse NaN, infinity and peaks above `MAX_PEAK`."""
    peak = float(np.abs(samples).max(initial=0))
    if not np.isfinite(peak):
        index = tuple(int(axis) for axis in np.argwhere(~np.isfinite(samples))[0])
        raise RequestError(
            f"sample {index[0]} is {samples[index]}: expected finite numbers", "NON_FINITE_SAMPLES"
        )
    if peak > MAX_PEAK:
        raise RequestError(
            f"the samples peak at {peak:.4g}, the limit is {MAX_PEAK:g}: float samples belong in −1..1",
            "SAMPLES_OUT_OF_RANGE",
        )
    return peak


def check_length(n_samples: int, rate: int) -> None:
    """Refuse what would be too short or too long at 16 kHz."""
    at_16_khz = round(n_samples * SAMPLE_RATE / rate)
    if not MIN_SAMPLES <= at_16_khz <= MAX_SAMPLES:
        raise wrong_length(at_16_khz)


def check_rate(rate: object) -> int:
    """Return `rate` if it is a sample rate in Hz from `MIN_RATE` to `MAX_RATE`, else refuse it."""
    if not isinstance(rate, Integral) or not MIN_RATE <= int(rate) <= MAX_RATE:
        raise RequestError(
            f"the sample rate is {repr(rate)[:40]}: expected a whole number from {MIN_RATE} to {MAX_RATE} Hz",
            "BAD_SAMPLE_RATE",
        )
    return int(rate)


def check_channels(channels: int) -> None:
    """Refuse no channels at all and more than `MAX_CHANNELS`."""
    if not 1 <= channels <= MAX_CHANNELS:
        raise RequestError(f"the audio has {channels} channels: expected 1 to {MAX_CHANNELS}", "BAD_CHANNELS")
