"""Whether the next item of a burst is worth waiting for: learnt from the gaps between arrivals.

1. Items belong to a burst while each comes soon after the one before (`LONGEST_GAP`).
2. For each place in a burst the latest gaps are remembered: how long after the third the fourth came, if it
   came. So a burst of four is known to be over with its fourth.
3. To hold n items for the next one pays if what it gains exceeds what they lose:

       next, if it comes after w:   duration(n) + duration(1) - duration(n + 1) - w    gained
       each of the n:               w + duration(n + 1) - duration(n)                  lost
       each of the n, if none does: the whole hold                                     lost

4. Holding ends with the gap for which that sum, over the remembered gaps, is the largest; if it is nowhere
   above 0, nothing is held. Nothing else is remembered, neither queue lengths nor waits: congestion leaves no
   trace (BentoML's dispatcher holds for minutes after it).
"""

from __future__ import annotations

from collections import deque

import numpy as np

from batching.duration import Duration

#: Gaps that are remembered for each place in a burst: some tens tell a burst from chance, and a change of the
#: senders is learnt within as many bursts.
REMEMBERED = 64

#: Gaps that must have been seen before anything is held: with fewer, independent arrivals look like bursts
#: now and then.
ENOUGH = 24

#: Places in a burst that are told apart; from there on all are one.
PLACES = 64

#: A gap that ends a burst is this share of an engine call with one item: whoever comes later than that gains
#: little by having been waited for.
LONGEST_GAP = 0.5


class Bursts:
    """The latest gaps between the arrivals of one key. Times are on the clock of `Item.enqueued_at`."""

    def __init__(self) -> None:
        self._last_at = float("-inf")
        self._place = 0
        self._gaps: dict[int, deque[float]] = {}

    def came(self, at: float, duration: Duration, length: float) -> None:
        """An item of `length` seconds of audio was enqueued; one older than the last tells nothing."""
        gap = at - self._last_at
        if gap < 0:
            return
        if np.isfinite(gap):
            self._gaps.setdefault(self._place, deque(maxlen=REMEMBERED)).append(gap)
        goes_on = gap <= LONGEST_GAP * duration.seconds(1.0, length)
        self._place = min(self._place + 1, PLACES) if goes_on else 0
        self._last_at = at

    def hold_until(self, size: int, duration: Duration, longest: float) -> float:
        """Until when `size` items should be held for another; the past not to."""
        gaps = self._gaps.get(self._place, ())
        gained, lost = _worth(float(size), duration, longest)
        if len(gaps) < ENOUGH or gained <= lost:
            return float("-inf")
        waits = np.sort(np.array(gaps))
        come = np.arange(1.0, len(waits) + 1)
        held = come * (gained - lost) - (1 + size) * np.cumsum(waits) - (len(waits) - come) * size * waits
        best = int(held.argmax())
        return self._last_at + float(waits[best]) if held[best] > 0 else float("-inf")


def _worth(size: float, duration: Duration, longest: float) -> tuple[float, float]:
    """What the next gains by joining at once, and what all of those that are here lose together: seconds."""
    without, with_it = duration.seconds(size, longest), duration.seconds(size + 1, longest)
    return without + duration.seconds(1.0, longest) - with_it, size * (with_it - without)
