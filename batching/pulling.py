"""How many of the messages in a shared queue a freed worker takes.

1. Several workers that are idle, or soon will be, share what waits: each takes its part, rounded up, so that
   nothing is left for nobody. Two half batches side by side end sooner than one full one.
2. If what waits would fill half of the batches of all of them, each takes a full batch: the queue is then
   long enough for everybody, and larger batches keep up with the load.
"""

from __future__ import annotations

from math import ceil

#: The share of everybody's full batches above which a queue counts as long.
LONG = 0.5


def share(waiting: int, free: int, largest: int) -> int:
    """How many to take of `waiting` messages, at most `largest`.

    `free` counts the workers that are idle or soon will be, the one that asks included.
    """
    if waiting > LONG * free * largest:
        return min(waiting, largest)
    return min(largest, ceil(waiting / max(1, free)))
