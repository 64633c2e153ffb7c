"""When exactly somebody begins to speak, given about when: a detector says it to 32 ms and often late.

A detector needs a few syllables to be sure, and the first sound of a word may be a whisper of an s. Both
stand out of the pause before them, which the audio segment begins with.
"""

from __future__ import annotations

import numpy as np

from producer.loudness import ABOVE_BACKGROUND
from producer.splitting import FRAME, Samples

#: Samples that are looked at together, 4 ms: a period of the lowest voice is 12 ms, but a beginning is not
#: voiced yet, and a fifth of what Whisper's times are exact to is enough.
STEP = 64

#: A pause before speech, in steps: 100 ms. Shorter ones are inside words, while lips or tongue are closed for
#: a p or a t: at 48 ms one of 1 453 packaged sentences began 73 ms late, behind such a t, and none at 100.
PAUSE = 25

#: How soft a beginning may be beside the loudest after it, in dB: the w of *what* is 35 below its vowel. Of
#: the packaged sentences, after a quiet room's noise, one began 76 ms late at 30, and none 11 ms at 40.
SOFTEST = 40.0

#: How long after the detector's frame speech may really begin, in frames: a frame counts as speech as a
#: whole, and loudness around it is high as well.
LATE = 2


def onset(samples: Samples, first: int) -> int:
    """The sample at which speech begins in an audio segment whose frame `first` is the first that has any.

    The end of the last pause before that, or the start of the frame if nothing there is a pause.
    """
    seen = samples[: (first + 1 + LATE) * FRAME]
    steps = seen[: len(seen) // STEP * STEP].reshape(-1, STEP).astype(np.float32)
    power = np.square(steps).mean(axis=1) + 1.0
    background = float(np.percentile(power, 10))
    least = max(background * 10 ** (ABOVE_BACKGROUND / 10), float(power.max()) / 10 ** (SOFTEST / 10))
    quiet = np.concatenate([np.ones(PAUSE, np.bool_), power < least])  # an audio segment begins in a pause
    ends = np.flatnonzero(np.convolve(quiet, np.ones(PAUSE), mode="valid") == PAUSE)
    end = int(ends[-1])
    return end * STEP if 0 < end < len(power) else first * FRAME
