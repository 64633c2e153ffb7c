"""Speech told from silence by loudness alone: no model, a few lines of NumPy.

It errs on the side of speech. What it drops is far below both the loudest and anything that varies; noise
that is nearly as loud as the speech is kept, and the recording is then cut where it is quietest.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from producer.splitting import BLOCK, FRAME, Samples

#: Below this nobody speaks, in dB of full scale: the hiss of a good microphone in a quiet room is about
#: −70, the silence between the songs of a player −90 and less.
SILENT = -70.0

#: How far above the background speech is at least, in dB: whispering reaches it close to a microphone.
ABOVE_BACKGROUND = 10.0

#: What is this close to the loudest is never dropped, in dB: the range in which speech adds to what is
#: understood, by the speech intelligibility index (ANSI S3.5).
NEVER_DROPPED = 30.0

#: What counts as the loudest before anything was heard, in dB of full scale: quiet speech. The hiss that a
#: recording begins with is then not the loudest that there is.
QUIET_SPEECH = -30.0

#: How much of the past the background is taken from, in blocks: half a minute, in which people breathe.
MEMORY = 30

#: How fast the loudest is forgotten, in dB a block: 3 dB a minute, so that a cough does not hide what
#: comes after it, and a minute of silence does not make its noise the loudest.
FORGETTING = 0.05


class Loudness:
    """Hears speech in what is louder than the background. Remembers one recording: make one for each."""

    def __init__(self) -> None:
        self._recent: deque[NDArray[np.float32]] = deque(maxlen=MEMORY)
        self._loudest = QUIET_SPEECH

    def __call__(self, samples: Samples) -> NDArray[np.bool_]:
        """Whether each frame of ``[n_frames * FRAME]`` samples holds speech."""
        levels = _levels(samples)
        self._recent.append(levels)
        self._loudest = max(self._loudest - FORGETTING * len(levels) / BLOCK, float(levels.max()))
        background = float(np.percentile(np.concatenate(self._recent), 10))
        least = max(SILENT, min(background + ABOVE_BACKGROUND, self._loudest - NEVER_DROPPED))
        return levels > least


def _levels(samples: Samples) -> NDArray[np.float32]:
    """The power of each frame in dB of full scale; −100 for digital silence."""
    power = np.square(samples.reshape(-1, FRAME).astype(np.float32) / 32_768).mean(axis=1)
    levels: NDArray[np.float32] = 10 * np.log10(power + np.float32(1e-10))
    return levels
