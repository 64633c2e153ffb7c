"""How far a batch may grow and wait, and how its size follows the device's memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field

#: Clean batches after which a size cut by an out-of-memory grows by one again. Slow on purpose: every
#: further out-of-memory costs a failed engine call (additive increase, multiplicative decrease).
CLEAN_BATCHES_TO_GROW = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a batch may grow, and how long it may wait for company.

    `min_batch_size == max_batch_size` is the classic fixed window; `min_batch_size == 1` never waits
    on a free engine; `max_batch_size == 1` runs one by one.
    """

    max_batch_size: int = 8
    min_batch_size: int = 2
    max_batch_wait: float = 0.1
    """The window in seconds, counted from when the oldest item was enqueued: nothing is held for longer."""
    max_batch_seconds: float = float("inf")
    """Padded audio in a batch: its size times its longest item. A longer item runs by itself."""
    urgent_seconds: float = float("inf")
    """How long a batch with an urgent item should take at most, as far as the load allows."""
    tenant_weights: Mapping[str, float] = field(default_factory=dict)
    """What each tenant's share of the engine counts for; 1 unless named."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_batch_size <= self.max_batch_size:
            raise ValueError(
                f"min_batch_size is {self.min_batch_size}: expected 1 to max_batch_size {self.max_batch_size}"
            )
        if self.max_batch_wait < 0:
            raise ValueError(f"max_batch_wait is {self.max_batch_wait} s: expected 0 or more")
        for name in ("max_batch_seconds", "urgent_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)} s: expected more than 0")
        for tenant, weight in self.tenant_weights.items():
            if not 0 < weight < float("inf"):
                raise ValueError(f"weight of tenant {tenant!r} is {weight}: expected more than 0, and finite")


class SizeCap:
    """The largest batch that memory seems to allow: halved by an out-of-memory, regrown slowly."""

    def __init__(self, max_batch_size: int) -> None:
        self._ceiling = max_batch_size
        self._clean = 0
        self.size = max_batch_size

    def shrink(self, failed_size: int) -> None:
        """A batch of `failed_size` did not fit."""
        self.size = max(1, min(self.size, failed_size // 2))
        self._clean = 0

    def ran_clean(self) -> None:
        """A batch ran without running out of memory."""
        if self.size == self._ceiling:
            return
        self._clean += 1
        if self._clean >= CLEAN_BATCHES_TO_GROW:
            self.size += 1
            self._clean = 0
