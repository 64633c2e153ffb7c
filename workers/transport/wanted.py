"""What a worker asks for when it claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workers.transport.claims import Share


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many more messages a worker could run right now."""

    any: int = 0
    urgent: int = 0
    """How many more of the most urgent lane than that."""
    share: Share | None = None
    """How much of it is left to others that are free; None leaves nothing."""
    choose: Callable[[], Sequence[bytes] | None] = lambda: None
    """Which messages it would run next, of those that wait; None if they may be claimed in order."""
    is_early: bool = False
    """Whether the engine is busy yet, so that something more urgent may come before they start."""

    def __bool__(self) -> bool:
        return self.any + self.urgent > 0
