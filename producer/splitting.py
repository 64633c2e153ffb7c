"""A recording, heard piece by piece → audio segments that end in pauses, each with its true place.

Rules, each with a test of its name:

1. What is between two audio segments is a pause; no speech is left out, and none is in two of them.
2. An audio segment is at most `max_samples` long, and holds as much as fits.
3. A pause of `LONG_PAUSE` ends an audio segment, however short it is.
4. What does not fit is cut in the longest pause of its second half; without one, where it is quietest.
   With `everything` heard as speech it is cut at fixed lengths.
5. The cuts do not depend on how the sound was cut into pieces on its way here.

Pure: no clock, no file, no model. What counts as speech is said by a `Hear`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocol.request import MIN_SAMPLES

Samples: TypeAlias = NDArray[np.int16]
"""16 kHz mono, shape ``[n_samples]``."""

#: Samples of a frame, 32 ms: what the Silero detector hears at a time.
FRAME = 512

#: Frames that are heard together, about a second: each hearing costs some 100 µs, whatever its length.
BLOCK = 32

Hear: TypeAlias = Callable[[Samples], NDArray[np.bool_]]
"""Says of each frame of ``[n_frames * FRAME]`` samples whether somebody speaks in it. It is given every
sample of a recording once and in order, so it may remember what came before."""

#: What is kept of the pause before and after speech, in frames: 0.4 s, faster-whisper's `speech_pad_ms`.
#: A word's first and last sounds are quiet, and Whisper does better with a breath around a sentence.
MARGIN = 12

#: A pause that always ends an audio segment, in frames: 2 s, faster-whisper's `min_silence_duration_ms`.
#: Longer silence inside makes Whisper invent text, and costs as much as speech.
LONG_PAUSE = 62

#: Shortest pause worth a cut, in frames: 96 ms. Shorter ones are inside words, before a p or a t.
SHORT_PAUSE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What becomes one audio segment."""

    offset: int
    """Where it begins in the recording, in samples."""
    n_samples: int
    """How long it is there, in samples."""
    first: int
    """The first frame in which somebody speaks, counted from its beginning."""
    samples: Samples = field(repr=False)
    """Its sound; zeros follow if it is shorter than an audio segment may be."""


class Splitter:
    """Takes the sound of one recording and gives its audio segments, as soon as their ends are known.

    Holds `max_samples` and about a second at most, whatever the length of the recording.
    """

    def __init__(self, hear: Hear, *, max_samples: int) -> None:
        self._hear = hear
        self._cuts_at_pauses = hear is not everything
        self._longest = max_samples // FRAME
        self._unheard = np.empty(0, np.int16)
        self._held = np.empty(0, np.int16)
        self._speech = np.empty(0, np.bool_)
        self._offset = 0
        self.total = 0
        """How many samples have been taken."""

    def push(self, samples: Samples) -> Iterator[Stretch]:
        """Take what comes next in the recording, of any length."""
        self.total += len(samples)
        self._unheard = np.concatenate([self._unheard, samples])
        whole = len(self._unheard) // (BLOCK * FRAME) * (BLOCK * FRAME)
        for at in range(0, whole, BLOCK * FRAME):
            self._take(self._unheard[at : at + BLOCK * FRAME])
            yield from self._cut()
        self._unheard = self._unheard[whole:]

    def finish(self) -> Iterator[Stretch]:
        """The recording is over: give what is left of it."""
        self._take(np.pad(self._unheard, (0, -len(self._unheard) % FRAME)))
        self._unheard = np.empty(0, np.int16)
        yield from self._cut()
        if self._speech.any():
            yield self._give(min(_last(self._speech) + 1 + MARGIN, len(self._speech)))

    def _take(self, heard: Samples) -> None:
        if len(heard):
            self._held = np.concatenate([self._held, heard])
            self._speech = np.concatenate([self._speech, self._hear(heard)])

    def _cut(self) -> Iterator[Stretch]:
        while True:
            self._skip_pause()
            end = _end(self._speech) or self._forced_end()
            if end is None:
                return
            yield self._give(end)

    def _skip_pause(self) -> None:
        """Let go of what comes before speech, except for the margin."""
        before = int(self._speech.argmax()) if self._speech.any() else len(self._speech)
        self._drop(max(0, before - MARGIN))

    def _forced_end(self) -> int | None:
        """Where to cut what does not fit; None if it may still fit."""
        if len(self._speech) <= self._longest:
            return None
        if not self._cuts_at_pauses:
            return self._longest
        return _pause(self._speech[: self._longest]) or _quietest(self._held[: self._longest * FRAME])

    def _give(self, end: int) -> Stretch:
        n_samples = min(end * FRAME, self.total - self._offset)
        given = Stretch(
            offset=self._offset,
            n_samples=n_samples,
            first=int(self._speech.argmax()),
            samples=_lengthened(self._held[:n_samples]),
        )
        self._drop(end)
        return given

    def _drop(self, n_frames: int) -> None:
        self._held = self._held[n_frames * FRAME :]
        self._speech = self._speech[n_frames:]
        self._offset += n_frames * FRAME


def everything(samples: Samples) -> NDArray[np.bool_]:
    """A `Hear` for whom all is speech."""
    return np.ones(len(samples) // FRAME, np.bool_)


def stretches(pieces: Iterable[Samples], splitter: Splitter) -> Iterator[Stretch]:
    """All audio segments of the recording that comes in `pieces`."""
    for piece in pieces:
        yield from splitter.push(piece)
    yield from splitter.finish()


def _end(speech: NDArray[np.bool_]) -> int | None:
    """The frame at which an audio segment that starts with these frames ends in a long pause, if it does.

    Never beyond the limit: a block is shorter than what a long pause has beyond its margin, so before all
    of the pause is here, `_forced_end` has cut what does not fit.
    """
    spoken = np.flatnonzero(np.append(speech, True))  # as if somebody spoke next: a pause may come last
    gaps = np.flatnonzero(np.diff(spoken) > LONG_PAUSE)
    return int(spoken[gaps[0]]) + 1 + MARGIN if len(gaps) else None


def _pause(speech: NDArray[np.bool_]) -> int | None:
    """The frame at which the longest pause of the second half is best cut, if there is one."""
    edges = np.diff(np.concatenate([[True], speech, [True]]).astype(np.int8))
    starts, ends = np.flatnonzero(edges == -1), np.flatnonzero(edges == 1)
    lengths = np.where(starts >= len(speech) // 2, ends - starts, 0)
    if not len(lengths) or lengths.max() < SHORT_PAUSE:
        return None
    longest = len(lengths) - 1 - int(lengths[::-1].argmax())  # the later of two that are as long
    start, length = int(starts[longest]), int(lengths[longest])
    return start + min(MARGIN, (length + 1) // 2)


def _quietest(samples: Samples) -> int:
    """The frame at which the quietest tenth of a second of the last third begins."""
    power = np.square(samples.reshape(-1, FRAME).astype(np.float32)).mean(axis=1)
    smooth = np.convolve(power, np.ones(SHORT_PAUSE), mode="valid")
    first = len(smooth) * 2 // 3
    return first + int(smooth[first:].argmin()) + SHORT_PAUSE // 2


def _lengthened(samples: Samples) -> Samples:
    return np.pad(samples, (0, max(0, MIN_SAMPLES - len(samples))))


def _last(speech: NDArray[np.bool_]) -> int:
    return int(np.flatnonzero(speech)[-1])
