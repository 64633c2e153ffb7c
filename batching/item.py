"""One unit of work, with just what batching needs to know of it."""

from collections.abc import Hashable
from dataclasses import dataclass

#: The rank that starts a batch at once and is filled in first.
URGENT = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What batching sees of a request."""

    id: Hashable
    """Whatever the caller knows it by; two waiting items never share one."""
    key: Hashable
    """Items share a batch only if their keys are equal."""
    rank: int = URGENT + 1
    """Lower goes first; `URGENT` does not wait for company."""
    enqueued_at: float
    """When it was enqueued, in seconds; the window counts from here."""
    cost: float = 0.0
    """Seconds of audio."""
    deadline_at: float | None = None
    """When its batch should have ended, in seconds, on the clock of `enqueued_at`; None if whenever."""
    tenant: str = ""
    """On whose behalf: tenants share the engine by their weights."""
    alone: bool = False
    """True for an item under suspicion: it shares a batch with nobody."""

    @property
    def is_urgent(self) -> bool:
        """Whether this item starts a batch at once."""
        return self.rank <= URGENT
