"""What tells a worker that there is work: a connection that becomes readable when a lane holds a message.

A ``BLMOVE`` from a list's head to its own head moves nothing, and returns when there is something.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

import redis
from kombu.asynchronous import Hub

#: How long a bell waits before it is hung anew, in seconds. With what its answer may be late, this bounds how
#: long a connection that is dead without a word keeps a worker idle. It costs three commands a second.
BELL_SECONDS = 1
LATE_SECONDS = 1.0


class Bell:
    """One lane's bell, on the worker's event loop.

    `on_answer` is called with whether it rang, `on_error` when Redis refuses or has gone.
    """

    def __init__(
        self,
        connection: Any,
        loop: Hub,
        lane: str,
        *,
        on_answer: Callable[[bool], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._lane = lane
        self._on_answer = on_answer
        self._on_error = on_error
        self._descriptor: int | None = None
        """Where the event loop listens while the bell hangs."""
        self._alarm: Any = None

    def hang(self) -> None:
        """Wait for the lane to hold something, unless that is waited for already.

        Raises:
            redis.RedisError: it could not be asked.
        """
        if self._descriptor is None:
            self._connection.connect()
            self._connection.send_command("BLMOVE", self._lane, self._lane, "RIGHT", "RIGHT", BELL_SECONDS)
            self._descriptor = self._connection._sock.fileno()
            self._loop.add_reader(self._descriptor, self._on_readable)
            self._alarm = self._loop.call_later(BELL_SECONDS + LATE_SECONDS, self._on_silence)

    def take_down(self) -> None:
        """Stop listening and close the connection."""
        self._stop_listening()
        self._connection.disconnect()

    def _on_readable(self) -> None:
        self._stop_listening()
        try:
            rang = self._connection.read_response() is not None
        except (redis.RedisError, OSError) as error:
            self._on_error(error)
        else:
            self._on_answer(rang)

    def _on_silence(self) -> None:
        """Redis answers in time, whatever there is: this connection is dead, though nobody has said so.

        Unless it was this worker that was held up, and the answer waits to be read.
        """
        waits = select.poll()
        waits.register(self._connection._sock, select.POLLIN)
        if waits.poll(0):
            self._on_readable()
            return
        self.take_down()
        self._on_error(redis.TimeoutError(f"nothing came for {BELL_SECONDS + LATE_SECONDS:.0f} s"))

    def _stop_listening(self) -> None:
        if self._descriptor is not None:
            self._alarm.cancel()
            self._loop.remove_reader(self._descriptor)
            self._descriptor = None
