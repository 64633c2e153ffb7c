"""How large a batch may be while urgent items come: small enough for them, large enough for the load.

An urgent item waits for the batch that runs when it comes, and then for its own. Putting it first does not
shorten either; smaller batches do. But small batches waste the engine, so that the size which keeps up with
the load is the floor: without it the others would wait for ever.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from batching.duration import Duration
from batching.windows import Room

#: The share of its time for which the engine may be busy with batches of the floor's size. With 0.95 nothing
#: was won at a load of 0.9, where full batches alone make it as busy; with 0.98 the others wait for longer.
BUSY = 0.97

#: A batch without urgent items delays the urgent item that comes meanwhile, which then runs itself: each
#: of the two has half of the time.
IN_BACKGROUND = 0.5


def capped(room: Room, duration: Duration, longest: float, rate: float, seconds: float) -> Room:
    """Room for batches of at most `seconds`, or of the size that keeps up with `rate` items a second."""
    in_time = duration.most(seconds, longest)
    return replace(room, rows=int(min(room.rows, max(1, in_time, _floor(duration, longest, rate)))))


def _floor(duration: Duration, longest: float, rate: float) -> float:
    """The least size of batches that keep up with `rate`; infinite if none does."""
    empty = duration.seconds(0.0, longest)
    left = BUSY - rate * (duration.seconds(1.0, longest) - empty)
    return ceil(rate * empty / left) if left > 0 else float("inf")
