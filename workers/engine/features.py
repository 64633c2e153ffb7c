"""Log-mel features: faster-whisper's own, by a way that starts no threads.

faster-whisper's extractor (1.2.1) multiplies the spectrum with the mel filters in one large product, and
OpenBLAS shares that out among threads of its own. They contend with CTranslate2's, which still spin for
the next call: in turn with batches on two busy cores, 15.8 ms a clip of 2 s; here 1.3 ms, and 24 against
60 ms for 30 s (2026-11-22). Here all is computed a stretch of frames at a time, in memory that is there, and
the filters, whose bands are narrow, are small products without what is zero anyway.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from workers.engine.base import Samples

#: Frames computed at once: with their window, spectrum and power some 3 MB. With fewer, threads beside each
#: other lose more by handing Python over than a core's own cache gains.
FRAMES_AT_ONCE = 480

#: Values of which the logarithm is taken at once, for the same reasons.
VALUES_AT_ONCE = 48_000

#: Frames and mel bands in one product. With so few of both, OpenBLAS keeps each product in the calling
#: thread: 262 144 multiplications it may have for that (its `interface/gemm.c`), and it has 243 200.
FRAMES_A_PRODUCT = 160
BANDS_A_PRODUCT = 16

#: Silence appended to the audio, in samples, and below what part of the loudest nothing is told apart
#: (in powers of ten), as Whisper was trained.
PADDING = 160
RANGE = 8.0
SMALLEST = 1e-10


@dataclass(frozen=True, slots=True)
class Filters:
    """Those of some mel bands, for the frequencies that any of them hears."""

    bands: slice
    frequencies: slice
    weights: NDArray[np.float32]
    """Shape ``[bands, frequencies]``."""


class _Room(threading.local):
    """Where a thread computes: asking for memory anew in each stretch would keep others waiting for it."""

    def __init__(self, n_fft: int) -> None:
        n_frequencies = n_fft // 2 + 1
        # float64 is what `np.fft` computes in: given anything else, it makes itself a copy each time.
        self.windowed = np.empty((FRAMES_AT_ONCE, n_fft), np.float64)
        self.spectrum: NDArray[Any] = np.empty((FRAMES_AT_ONCE, n_frequencies), np.complex64)
        self.power = np.empty((FRAMES_AT_ONCE, n_frequencies), np.float32)
        self.imaginary = np.empty((FRAMES_AT_ONCE, n_frequencies), np.float32)


class LogMel:
    """The features that one extractor gives, to 1e-6."""

    def __init__(self, extractor: FeatureExtractor) -> None:
        self._n_fft: int = extractor.n_fft
        self._hop: int = extractor.hop_length
        self._n_mels: int = len(extractor.mel_filters)
        self._filters = filters_of(extractor.mel_filters)
        self._window = np.hanning(self._n_fft + 1)[:-1].astype(np.float32)
        self._room = _Room(self._n_fft)

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """Log-mel features of `samples`: shape ``[n_mels, n_samples // hop + 1]``, float32."""
        mel = self._in_mels(self._frames(samples))
        least = max(mel.max() * 10**-RANGE, SMALLEST)
        for some in np.split(mel.reshape(-1), range(VALUES_AT_ONCE, mel.size, VALUES_AT_ONCE)):
            # A quarter of the logarithm to base 10, and one. NumPy's own `log10` is slow without AVX-512.
            np.clip(some, least, np.inf, out=some)
            np.log(some, out=some)
            np.multiply(some, 0.25 / math.log(10.0), out=some)
            np.add(some, 1.0, out=some)
        return mel

    def _frames(self, samples: Samples) -> NDArray[np.float32]:
        """What is heard at each hop, not to be written to: shape ``[n_samples // hop + 1, n_fft]``.

        The last frame, all padding, is left out as faster-whisper does.
        """
        n_frames = len(samples) // self._hop + 1
        padded = mirrored(samples, self._n_fft // 2)
        step = padded.itemsize
        return as_strided(padded, (n_frames, self._n_fft), (self._hop * step, step), writeable=False)

    def _in_mels(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """The power in each mel band: shape ``[n_mels, n_frames]``."""
        mel = np.empty((self._n_mels, len(frames)), np.float32)
        for first in range(0, len(frames), FRAMES_AT_ONCE):
            power = self._power(frames[first : first + FRAMES_AT_ONCE])
            columns = mel[:, first : first + len(power)]
            n_products, n_left = divmod(len(power), FRAMES_A_PRODUCT)
            in_products = len(power) - n_left
            if n_products:
                self._filter(power[:in_products], columns[:, :in_products], n_products)
            if n_left:
                self._filter(power[in_products:], columns[:, in_products:], 1)
        return mel

    def _filter(self, power: NDArray[np.float32], mel: NDArray[np.float32], n_products: int) -> None:
        """Write to `mel` what the mel bands hear, in so many products for each of the filters."""
        heard = power.reshape(n_products, -1, power.shape[1]).transpose(0, 2, 1)
        products = mel.reshape(len(mel), n_products, -1).transpose(1, 0, 2)
        for some in self._filters:
            np.matmul(some.weights, heard[:, some.frequencies], out=products[:, some.bands])

    def _power(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """At each frequency, until this thread computes it again: shape ``[n_frames, n_fft // 2 + 1]``."""
        room, n_frames = self._room, len(frames)
        windowed = np.multiply(frames, self._window, out=room.windowed[:n_frames])
        spectrum = np.fft.rfft(windowed, out=room.spectrum[:n_frames])
        power = np.square(spectrum.real, out=room.power[:n_frames])
        power += np.square(spectrum.imag, out=room.imaginary[:n_frames])
        return power


def filters_of(weights: NDArray[np.float32]) -> list[Filters]:
    """All of them, so many bands at once, without the frequencies that none of these hears."""
    found = []
    for first in range(0, len(weights), BANDS_A_PRODUCT):
        some = weights[first : first + BANDS_A_PRODUCT]
        heard = np.flatnonzero(some.any(axis=0))
        frequencies = slice(heard[0], heard[-1] + 1)
        found.append(
            Filters(
                bands=slice(first, first + len(some)),
                frequencies=frequencies,
                weights=np.ascontiguousarray(some[:, frequencies], np.float32),
            )
        )
    return found


def mirrored(samples: Samples, margin: int) -> NDArray[np.float32]:
    """`samples` and the padding, with so many of them mirrored before the first and after the last."""
    n_heard = len(samples) + PADDING
    if n_heard <= margin:  # np.pad mirrors as often as it takes, and takes ten times as long
        return np.pad(np.pad(samples, (0, PADDING)), margin, mode="reflect")
    padded = np.empty(n_heard + 2 * margin, np.float32)
    padded[margin : margin + len(samples)] = samples
    padded[margin + len(samples) : margin + n_heard] = 0.0
    padded[:margin] = padded[2 * margin : margin : -1]
    padded[-margin:] = padded[-margin - 2 : -2 * margin - 2 : -1]
    return padded
