"""Shortly before a batch ends: what will run next is claimed, so that the engine does not wait for Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workers.later import CallLater, cancel

#: How long before a batch will probably end its worker claims the next, in seconds: what Celery takes to
#: receive some fifty messages. Earlier would bind what is more urgent in the end out of its turn. A batch
#: that takes less than twice as long is half over by then.
CLAIM_SECONDS = 0.02

#: The shortest batch during which the next is claimed, in seconds: a claim would not be done before a shorter
#: one ends.
CLAIMABLE_SECONDS = 0.005


class Early:
    """The moment before a batch ends. For the worker's event loop."""

    def __init__(self, claim: Callable[[float], None], call_later: CallLater) -> None:
        """`claim` is called that many seconds before the end; `is_now` meanwhile."""
        self._claim = claim
        self._call_later = call_later
        self._alarm: Any = None
        self.is_now = False

    def begin(self, seconds: float | None) -> None:
        """A batch has begun and will probably take `seconds`; None if nobody knows."""
        if seconds is not None and seconds > CLAIMABLE_SECONDS:
            ahead = min(CLAIM_SECONDS, seconds / 2)
            self._alarm = self._call_later(seconds - ahead, self._come, ahead)

    def end(self) -> None:
        """The batch is over, sooner than expected or not."""
        cancel(self._alarm)

    def _come(self, ahead: float) -> None:
        self.is_now = True
        try:
            self._claim(ahead)
        finally:
            self.is_now = False
