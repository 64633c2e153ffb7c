"""Which of those that wait should share a padded batch: a stretch of the queue in order of length.

1. A batch is a window of the queue sorted by length, as large as it may be for its longest member: one more
   that is no longer never costs what it brings.
2. If all that wait would fit into one batch, the choice is between that and two, the window and then the
   rest. Those that wait wait for one or both, and those that will come meanwhile, at the present rate, for
   half of both on average: the least waiting in all wins.
3. If more wait than fit, here or elsewhere, the window that serves most weight in a second goes first.
4. The weight of an item is 1 + (age / tau)²: sooner or later the oldest outweighs any other window.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from batching.duration import Duration, Vector
from batching.line import Places

#: Least age, in seconds, at which an item counts double. Simulated with 0.25 to 2 s: shorter costs mean
#: latency, longer the 99th percentile.
LEAST_TAU = 0.5

#: Pairs of rows and waiting items whose windows are remembered: those of the last few seconds.
SIZES_REMEMBERED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How far a batch may grow at present."""

    rows: int
    seconds: float = float("inf")
    """Seconds of padded audio: size times longest. One item that exceeds it runs by itself."""

    def windows(self, longest: Vector) -> tuple[Vector, Places]:
        """Size and begin of the largest window that ends with each of these; at least one item each."""
        sizes, begins = _up_to(self.rows, len(longest))
        if self.seconds == float("inf"):
            return sizes, begins
        by_seconds = self.seconds // np.maximum(longest, 1e-9)
        narrower = np.minimum(sizes, np.maximum(by_seconds, 1))
        return narrower, begins + (sizes - narrower).astype(np.intp)


@lru_cache(maxsize=SIZES_REMEMBERED)
def _up_to(rows: int, count: int) -> tuple[Vector, Places]:
    """Sizes 1, 2, 3 … `rows`, `rows`, and where such windows begin: shape `[count]`."""
    ends = np.arange(1.0, count + 1)
    sizes = np.minimum(ends, rows)
    return sizes, (ends - sizes).astype(np.intp)


def best_window(
    lengths: Vector, ages: Vector, duration: Duration, room: Room, rate: float, elsewhere: int = 0
) -> tuple[int, int]:
    """Where the window begins and ends (exclusive).

    Args:
        lengths: seconds of audio, rising, shape `[n]`, n at least 1.
        ages: seconds since each was enqueued, shape `[n]`.
        duration: what a batch takes.
        room: how far it may grow.
        rate: items that come in a second.
        elsewhere: how many more wait where they are not seen.
    """
    count, last = len(lengths), float(lengths[-1])
    sizes, begins = room.windows(lengths)
    seconds = duration.seconds(sizes, lengths)
    tau = max(LEAST_TAU, duration.seconds(float(room.rows), last))
    weights, total = ages / tau, np.zeros(count + 1)
    weights *= weights
    weights += 1
    np.add.accumulate(weights, out=total[1:])
    weights = total[1:] - total[begins]
    if count + elsewhere > room.rows:
        best = int((weights / seconds).argmax())
    else:
        left = count - sizes
        rest = (left > 0) * duration.seconds(left, np.full(count, last))
        lost = total[-1] * seconds + (total[-1] - weights) * rest + rate / 2 * (seconds + rest) ** 2
        best = int(lost.argmin())
    return int(begins[best]), best + 1
