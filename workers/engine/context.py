"""How many of the 30 s that Whisper was trained on are encoded when the audio is shorter.

`full` pads every window with zeros to 30 s, as faster-whisper does: the reference, and all that stock
weights know. `bucketed` pads it to the next of a few lengths, so that two seconds of speech cost two
seconds of encoder. The length of a row follows from its own audio and never from its neighbours, so
what shares its batch cannot change what is heard in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

Wish = Literal["auto", "full", "bucketed"]

#: 10 ms each: Whisper's 30 s window, the most that the encoder has positions for.
FULL_FRAMES = 3000

#: Frames, even, for the encoder halves them. Steps of 1 s where most requests are: with the packaged clips
#: (under 4 s) in batches of 8 that is 9.2 ms of CPU a row, against 10.1 with steps of 0.5 s, 10.4 with
#: lengths that double, and 9.4 if all rows are encoded together at the length of the longest; in batches
#: of 32 it is 8.0 against 7.5, 8.6 and 9.3 (docs/performance.md). Further up at most half as long again,
#: so that few rows stand alone in their call.
BUCKETS = (100, 200, 300, 400, 600, 800, 1200, 1600, 2400, FULL_FRAMES)

#: The file of a model folder where faster-whisper looks for how audio is made ready (it skips names that
#: are not its own), and the name under which the folder says that its weights take shortened windows.
PREPARATION = "preprocessor_config.json"
NAME = "audio_context"


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioContext:
    """The lengths to which windows are padded, in frames, ascending."""

    lengths: tuple[int, ...]

    def padded(self, frames: int) -> int:
        """The length at which a window of so many frames is encoded."""
        return next((length for length in self.lengths if frames <= length), self.lengths[-1])


FULL = AudioContext(lengths=(FULL_FRAMES,))
BUCKETED = AudioContext(lengths=BUCKETS)


def chosen_context(wish: Wish, folder: Path | None) -> AudioContext:
    """What `wish` means for the model in `folder`; `auto` is full unless the folder says otherwise.

    Args:
        wish: the operator's `audio_context`.
        folder: where the weights lie; None if that is for faster-whisper to know, as with a hub id.
    """
    if wish == "auto":
        return BUCKETED if folder is not None and allows_bucketed(folder) else FULL
    return BUCKETED if wish == "bucketed" else FULL


def allows_bucketed(folder: Path) -> bool:
    """Whether the model in `folder` says ``"audio_context": "bucketed"`` of itself."""
    try:
        says = json.loads((folder / PREPARATION).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or not one: faster-whisper goes on without it too
        return False
    return isinstance(says, dict) and says.get(NAME) == "bucketed"


def padded_windows(windows: Sequence[Any], length: int, zeros: Callable[..., Any] = np.zeros) -> Any:
    """Windows, each ``[n_mels, up to length]``, with zeros after them: shape ``[rows, n_mels, length]``.

    `zeros` makes an array of the kind that the windows are, by shape and `dtype`.
    """
    padded = zeros((len(windows), windows[0].shape[0], length), dtype=windows[0].dtype)
    for place, window in zip(padded, windows, strict=True):
        place[:, : window.shape[1]] = window
    return padded
