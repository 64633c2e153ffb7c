"""Whether Redis still knows what it has acknowledged: a mark that goes when its data goes."""

from __future__ import annotations

from contextlib import suppress
from uuid import uuid4

import redis

#: A random mark, written once by whichever worker finds none. A restart from the append-only file keeps it;
#: one without, a flush, or a fail-over to an empty replica does not.
MEMORY_KEY = "segue:memory"


class Memory:
    """What this process has seen of the mark. Not thread-safe."""

    def __init__(self, connection: redis.Redis) -> None:
        self._redis = connection
        self._mark: bytes | None = None

    def is_lost(self) -> bool:
        """Whether Redis has lost the mark since the last look; not at the first.

        Raises:
            redis.RedisError: it could not be asked.
        """
        before, self._mark = self._mark, self._read()
        return before is not None and before != self._mark

    def _read(self) -> bytes | None:
        """The mark, written if there is none; None while Redis is too full to take one."""
        with suppress(redis.OutOfMemoryError):
            if not self._redis.exists(MEMORY_KEY):
                self._redis.set(MEMORY_KEY, uuid4().hex, nx=True)
        mark: bytes | None = self._redis.get(MEMORY_KEY)  # type: ignore[assignment]  # redis-py: or awaitable
        return mark
