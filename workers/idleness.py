"""How long an engine stood idle though work might have run, and how long work was held on purpose."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What was before an engine call, in seconds; neither counts time in which there was nothing to do."""

    idle: float = 0.0
    """Work waited and nobody wanted it to: it was on its way, or being prepared."""
    hold: float = 0.0
    """Work waited for company."""


class Idleness:
    """The gaps between engine calls. All times are on one clock, in seconds."""

    def __init__(self) -> None:
        self._free_at = float("inf")

    def free(self, at: float) -> None:
        """The engine has ended a call, or has just been loaded."""
        self._free_at = at

    def busy(self, began_at: float, *, oldest_at: float, held_until: float | None) -> Gap:
        """The gap before a call.

        Args:
            began_at: when it began.
            oldest_at: when the oldest of its members was enqueued.
            held_until: when its batch was closed, if a free engine had been made to wait for that.
        """
        since = min(began_at, max(self._free_at, oldest_at))
        hold = max(0.0, held_until - since) if held_until is not None else 0.0
        return Gap(idle=max(0.0, began_at - since - hold), hold=hold)
