"""Log-mel features: faster-whisper's own, by a way that starts no threads.

faster-whisper's extractor (1.2.1) multiplies the spectrum with the mel filters in one large product, and
OpenBLAS shares that out among threads of its own. They contend with CTranslate2's, which still spin for
the next call: in turn with batches on two busy cores, 15.8 ms a clip of 2 s; here 1.3 ms, and 24 against
60 ms for 30 s (2026-11-22). The product is made of pieces so small that OpenBLAS keeps each in the
calling thread.
"""

from __future__ import annotations

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from workers.engine.base import Samples

#: In one product: up to here OpenBLAS takes no threads (its `interface/gemm.c`: `SMP_THRESHOLD_MIN` times
#: `GEMM_MULTITHREAD_THRESHOLD`). That is 16 frames of 201 frequencies in 80 mels, or 10 frames in 128.
_MOST_MULTIPLICATIONS = 4 * 65_536

#: Silence appended to the audio, in samples, and below what part of the loudest nothing is told apart
#: (in powers of ten), as Whisper was trained.
_PADDING = 160
_RANGE = 8.0
_SMALLEST = 1e-10


class LogMel:
    """The features that one extractor gives, to 1e-6."""

    def __init__(self, extractor: FeatureExtractor) -> None:
        self._n_fft: int = extractor.n_fft
        self._hop: int = extractor.hop_length
        self._filters: NDArray[np.float32] = np.ascontiguousarray(extractor.mel_filters.T)
        self._window = np.hanning(self._n_fft + 1)[:-1].astype(np.float32)
        self._piece = max(1, _MOST_MULTIPLICATIONS // self._filters.size)

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """Log-mel features of `samples`: shape ``[n_mels, n_samples // hop + 1]``, float32."""
        mel = self._in_mels(self._power(samples))
        np.log10(np.maximum(mel, _SMALLEST, out=mel), out=mel)
        np.maximum(mel, mel.max() - _RANGE, out=mel)
        mel += 4.0
        mel /= 4.0
        return mel.T

    def _power(self, samples: Samples) -> NDArray[np.float32]:
        """Power by frame and frequency; the last frame, all padding, is left out as faster-whisper does."""
        padded = np.pad(np.pad(samples, (0, _PADDING)), self._n_fft // 2, mode="reflect")
        frames = sliding_window_view(padded, self._n_fft)[:: self._hop][:-1]
        spectrum = np.fft.rfft(frames * self._window)
        return np.asarray(spectrum.real**2 + spectrum.imag**2, dtype=np.float32)

    def _in_mels(self, power: NDArray[np.float32]) -> NDArray[np.float32]:
        """The power in each mel band, piece by piece."""
        n_frames, n_frequencies = power.shape
        rest = -n_frames % self._piece
        pieces = np.pad(power, ((0, rest), (0, 0))).reshape(-1, self._piece, n_frequencies)
        mel: NDArray[np.float32] = (pieces @ self._filters).reshape(-1, self._filters.shape[1])
        return mel[:n_frames]
