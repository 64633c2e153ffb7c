"""What is wrong with Redis, in plain words, said once and not each time it is met."""

from __future__ import annotations

import logging

import redis
from redis import exceptions

#: What redis-py's own errors mean to whoever runs Redis; the first that fits, so the general ones last.
BY_CLASS: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.BusyLoadingError, "Redis is still loading its data"),
    (exceptions.AuthenticationError, "Redis refuses this worker's user or password"),
    (exceptions.NoPermissionError, "Redis does not allow this worker's user to do it"),
    (exceptions.OutOfMemoryError, "Redis is full"),
    (exceptions.ReadOnlyError, "this Redis is a replica that may only be read"),
    (redis.TimeoutError, "Redis does not answer"),
    (TimeoutError, "Redis does not answer"),
    (redis.ConnectionError, "Redis cannot be reached"),
    (OSError, "Redis cannot be reached"),
)

#: The same for errors that redis-py has no class for, by the first word of Redis's answer; inside a
#: script and in older versions of redis-py the others come this way too.
BY_CODE = {
    "LOADING": "Redis is still loading its data",
    "NOAUTH": "Redis refuses this worker's user or password",
    "WRONGPASS": "Redis refuses this worker's user or password",
    "NOPERM": "Redis does not allow this worker's user to do it",
    "OOM": "Redis is full",
    "READONLY": "this Redis is a replica that may only be read",
    "MISCONF": "Redis cannot write to its disk",
    "NOREPLICAS": "Redis has fewer replicas than it must have to write",
    "BUSY": "Redis is busy with somebody's script",
    "WRONGTYPE": "somebody else uses a key of Segue's",
}


def in_plain_words(error: Exception) -> str:
    """What an error of Redis, or of the way there, means to whoever runs it."""
    code = str(error).partition(" ")[0]
    if code in BY_CODE:
        return BY_CODE[code]
    return next((words for kind, words in BY_CLASS if isinstance(error, kind)), "Redis refuses")


class Trouble:
    """One thing that Redis keeps a worker from, from its first failure to its next success."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        """`what` is what the log says of it, such as *could not store results*."""
        self._log = log
        self._what = what
        self._said = ""

    def met(self, error: Exception) -> None:
        """It failed and will be tried again: said unless it was said already."""
        words = in_plain_words(error)
        if words != self._said:
            self._said = words
            self._log.warning("%s: %s (%s); trying again", self._what, words, error)

    def over(self) -> None:
        """It worked: said if it had failed before."""
        if self._said:
            self._said = ""
            self._log.warning("Redis is back, this is over: %s", self._what)
