"""How many requests a worker gets through in a second, for producers that ask how long theirs will wait."""

from __future__ import annotations

#: Batches that count for most of the average: enough that one short batch says little, few enough that a
#: queue which has changed is noticed within seconds.
MEMORY = 20


class Pace:
    """Requests a second of a busy engine, over the latest batches. Idle time does not count."""

    def __init__(self) -> None:
        self._requests = 0.0
        self._seconds = 0.0

    @property
    def rate(self) -> float | None:
        """Requests a second; None before the first batch."""
        return self._requests / self._seconds if self._seconds else None

    def ran(self, requests: int, seconds: float) -> None:
        """A batch of `requests` kept the engine for `seconds`, more than 0."""
        keep = 1 - 1 / MEMORY
        self._requests = keep * self._requests + requests
        self._seconds = keep * self._seconds + seconds
