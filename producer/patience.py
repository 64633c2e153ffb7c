"""How long to wait for a recording: when to look again, and when to give up."""

from __future__ import annotations

from producer.pending import DEFAULT_TIMEOUT, PAUSE_MAX, PAUSE_MIN


class Patience:
    """Ends `timeout` seconds from `now`; without a timeout, `longest` seconds after something last came.

    A recording takes as long as it is long, but a part of it comes every while. Times are seconds on any
    clock that does not go back.
    """

    def __init__(self, timeout: float | None, now: float, *, longest: float = DEFAULT_TIMEOUT) -> None:
        self._timeout = timeout
        self._longest = longest
        self._ends_at = now + (longest if timeout is None else timeout)
        self._pause = PAUSE_MIN

    def something_came(self, now: float) -> None:
        """It is worth waiting on."""
        self._pause = PAUSE_MIN
        if self._timeout is None:
            self._ends_at = now + self._longest

    def is_over(self, now: float) -> bool:
        """Whether to give up."""
        return now >= self._ends_at

    def pause(self, now: float) -> float:
        """Seconds until the next look: longer each time that nothing comes, never past the end."""
        self._pause = min(2 * self._pause, PAUSE_MAX)
        return max(0.0, min(self._pause, self._ends_at - now))
