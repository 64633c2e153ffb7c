"""A Redis client whose connection can be cut: before a script runs, or with its answer on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis


class CutConnection(redis.Redis):
    """Works like any other until `cut_after` says how many more scripts reach Redis."""

    _scripts_left: int | None = None

    @contextmanager
    def cut_after(self, scripts: int) -> Iterator[None]:
        """Break with the answer of the last of so many script calls; 0: before the next one reaches Redis."""
        self._scripts_left = scripts
        yield
        self._scripts_left = None

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command. Raises `redis.ConnectionError` where the connection is cut."""
        execute: Any = super().execute_command
        if self._scripts_left is None or args[0] != "EVALSHA":
            return execute(*args, **options)
        if self._scripts_left > 0:
            answer = execute(*args, **options)
            self._scripts_left -= 1
            if self._scripts_left > 0:
                return answer
        raise redis.ConnectionError("cut")
