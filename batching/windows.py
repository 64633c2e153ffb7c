"""Which of those that wait should share a padded batch: a stretch of the queue in order of length.

1. A batch is a window of the queue sorted by length, as large as it may be for its longest member: one more
   that is no longer never costs what it brings.
2. If all that wait would fit into one batch, the choice is between that and two, the window and then the
   rest. Those that wait wait for one or both, and those that will come meanwhile, at the present rate, for
   half of both on average: the least waiting in all wins.
3. If more wait than fit, the window that serves most weight in a second goes first.
4. The weight of an item is 1 + (age / tau)²: sooner or later the oldest outweighs any other window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batching.duration import Duration, Vector

#: Least age, in seconds, at which an item counts double. Simulated with 0.25 to 2 s: shorter costs mean
#: latency, longer the 99th percentile.
LEAST_TAU = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How far a batch may grow at present."""

    rows: int
    seconds: float = float("inf")
    """Seconds of padded audio: size times longest. One item that exceeds it runs by itself."""

    def most(self, longest: Vector) -> Vector:
        """Items that a batch may have whose longest is this, at least one each."""
        if self.seconds == float("inf"):
            return np.full_like(longest, self.rows)
        by_seconds = self.seconds // np.maximum(longest, 1e-9)
        return np.minimum(np.maximum(by_seconds, 1), self.rows)


def best_window(
    lengths: Vector, ages: Vector, duration: Duration, room: Room, rate: float
) -> tuple[int, int]:
    """Where the window begins and ends (exclusive).

    Args:
        lengths: seconds of audio, rising, shape `[n]`, n at least 1.
        ages: seconds since each was enqueued, shape `[n]`.
        duration: what a batch takes.
        room: how far it may grow.
        rate: items that come in a second.
    """
    count = len(lengths)
    ends = np.arange(1.0, count + 1)
    sizes = np.minimum(ends, room.most(lengths))
    begins = (ends - sizes).astype(np.intp)
    seconds = duration.seconds(sizes, lengths)
    tau = max(LEAST_TAU, duration.seconds(float(room.rows), float(lengths[-1])))
    total = np.zeros(count + 1)
    np.cumsum(1 + (np.maximum(ages, 0) / tau) ** 2, out=total[1:])
    weights = total[1:] - total[begins]
    if count <= room.rows:
        left = count - sizes
        rest = (left > 0) * duration.seconds(left, np.full(count, lengths[-1]))
        both = seconds + rest
        value = -(total[-1] * seconds + (total[-1] - weights) * rest + rate / 2 * both**2)
    else:
        value = weights / seconds
    best = int(value.argmax())
    return int(begins[best]), best + 1
