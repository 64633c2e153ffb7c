"""Which of those with a deadline should run now, so that most of them end in time.

1. They go in the order of their deadlines: a batch is a stretch of that order, as long as ends before the
   deadline of its first.
2. The best stretch makes the fewest others late if full batches follow it; how many run in it counts a
   little. So those whose deadlines force a small batch are passed over where that saves more behind them;
   always taking the first would end in small batches, and all of them late.
3. An item that would be late even by itself is not for this module: it is demoted (`members`).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from batching.duration import Duration, Vector
from batching.windows import Room

#: Full batches that are looked ahead: what is later than that, the next decisions see soon enough.
LOOKED_AHEAD = 4

#: What an item in the batch counts for, beside one that is made late. Simulated with 0 to 1: more leaves
#: items behind that could have been in time, less makes smaller batches under overload.
IN_THIS_BATCH = 0.2


def best_stretch(slack: Vector, lengths: Vector, duration: Duration, room: Room) -> tuple[int, int]:
    """Where the stretch begins and ends (exclusive), at least one long.

    Args:
        slack: seconds to each deadline, rising, shape `[n]`; each enough for the item by itself.
        lengths: seconds of audio, in the same order.
        duration: what a batch takes, with the margin that is wanted.
        room: how far it may grow.
    """
    seen = (LOOKED_AHEAD + 1) * room.rows
    slack, lengths = slack[:seen], lengths[:seen]
    sizes, seconds = _in_time(slack, lengths, duration, room)
    following = duration.seconds(float(room.rows), float(lengths.max()))
    begins, places = np.arange(len(slack))[:, None], np.arange(len(slack))
    is_member = (places >= begins) & (places < begins + sizes[:, None])
    ahead = np.where(places < begins, places, places - sizes[:, None])
    ends = seconds[:, None] + (ahead // room.rows + 1) * following
    late = (~is_member & (ends > slack)).sum(axis=1)
    best = int((IN_THIS_BATCH * sizes - late).argmax())
    return best, best + int(sizes[best])


def _in_time(slack: Vector, lengths: Vector, duration: Duration, room: Room) -> tuple[Vector, Vector]:
    """For each first member the size of its stretch, at least one, and how long that takes: shape `[n]`."""
    count, rows = len(slack), min(room.rows, len(slack))
    padded = np.concatenate([lengths, np.zeros(rows - 1)])
    longest = np.maximum.accumulate(sliding_window_view(padded, rows), axis=1)
    size = np.arange(1.0, rows + 1)
    seconds = duration.seconds(np.broadcast_to(size, longest.shape), longest)
    fits = (seconds <= slack[:, None]) & (size * longest <= room.seconds)
    fits &= size <= count - np.arange(count)[:, None]
    sizes = np.maximum(1, fits.sum(axis=1))
    return sizes, seconds[np.arange(count), sizes - 1]
