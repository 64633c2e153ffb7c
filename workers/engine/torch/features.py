"""Log-mel features of a whole batch, on the device of the network; faster-whisper's to 1e-5.

Audio segments of any length lie one after the other, so that one transform serves all of their frames. All of
it is float64, as NumPy computes the spectrum for faster-whisper: in float32 the weakest bands beside a pure
tone are 2.5e-4 away, and what a row shares the transform with would show in its last bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from torch.nn import functional

from workers.engine.base import Samples
from workers.engine.features import RANGE, SMALLEST, mirrored
from workers.engine.torch.model import without_gradients

Tensor = Any

#: Frames of the audio segments that go together: four windows of 30 s.
MOST_FRAMES = 4 * 3_008

#: Frames in one transform, always: cuFFT makes a plan for each number of them, in memory that torch's cache
#: may have taken by then (pytorch#119420). So there is one plan, and `load` makes it.
FRAMES_AT_ONCE = 752


class TorchLogMel:
    """The features that one extractor gives."""

    def __init__(self, extractor: FeatureExtractor, device: str, most_frames: int = MOST_FRAMES) -> None:
        self._n_fft: int = extractor.n_fft
        self._hop: int = extractor.hop_length
        self._device = device
        self._most_frames = most_frames
        self._filters = torch.from_numpy(extractor.mel_filters.T.astype(np.float64)).to(device)
        window = np.hanning(self._n_fft + 1)[:-1].astype(np.float32)
        self._window = torch.from_numpy(window.astype(np.float64)).to(device)

    @without_gradients
    def __call__(self, heard: Sequence[Samples]) -> list[Tensor]:
        """Features of each, on the device: shape ``[n_mels, n_samples // hop + 1]``, float32."""
        return [features for part in self._parts(heard) for features in self._features(part)]

    def _parts(self, heard: Sequence[Samples]) -> Iterator[list[Samples]]:
        """As many as may go together, but one at least."""
        part: list[Samples] = []
        frames = 0
        for samples in heard:
            frames += self._n_frames(samples)
            if part and frames > self._most_frames:
                yield part
                part, frames = [], self._n_frames(samples)
            part.append(samples)
        if part:
            yield part

    def _features(self, heard: Sequence[Samples]) -> Iterator[Tensor]:
        padded = [self._padded(samples) for samples in heard]
        mel = self._in_mels(torch.from_numpy(np.concatenate(padded)).to(self._device))
        firsts = accumulate((len(one) // self._hop for one in padded), initial=0)
        for first, samples in zip(firsts, heard, strict=False):
            # The frames between reach into the next audio segment.
            yield _in_range(mel[first : first + self._n_frames(samples)])

    def _padded(self, samples: Samples) -> Samples:
        """What the frames are cut from, to a whole number of hops."""
        padded = mirrored(samples, self._n_fft // 2)
        return np.pad(padded, (0, -len(padded) % self._hop))

    def _n_frames(self, samples: Samples) -> int:
        return len(samples) // self._hop + 1

    def _in_mels(self, samples: Tensor) -> Tensor:
        """The power in each mel band, by frame, as a power of ten: shape ``[frames, n_mels]``."""
        missing = -((len(samples) - self._n_fft) // self._hop + 1) % FRAMES_AT_ONCE
        frames = functional.pad(samples, (0, missing * self._hop)).unfold(0, self._n_fft, self._hop)
        return torch.cat([self._in_mels_at_once(some) for some in frames.split(FRAMES_AT_ONCE)])

    def _in_mels_at_once(self, frames: Tensor) -> Tensor:
        power = torch.view_as_real(torch.fft.rfft(frames * self._window)).square_().sum(-1)
        return (power @ self._filters).clamp_(min=SMALLEST).log10_()


def _in_range(mel: Tensor) -> Tensor:
    """Of one audio segment: nothing is told apart far below the loudest."""
    return ((mel.clamp(min=mel.max() - RANGE) + 4.0) / 4.0).float().T
