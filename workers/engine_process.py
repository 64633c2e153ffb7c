"""The engine process as its parent sees it: start, send a batch, read a report, end.

Parent and child speak JSON over a socket pair, framed by `multiprocessing.connection`: nothing that
comes from the process that handles strangers' audio is ever unpickled in the parent.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from typing import Any

from protocol.fast_json import dumps, loads
from workers.settings import Settings

#: How long a process that was told to end may take before it is killed, in seconds.
END_SECONDS = 2.0


class ProcessLost(Exception):
    """The engine process has gone away; the message says how it ended."""


class EngineProcess:
    """One running engine process. Use from one thread."""

    def __init__(self, settings: Settings) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workers.host", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._connection = Connection(ours.detach())
        self.send({"settings": settings.model_dump_json()})

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def fileno(self) -> int:
        """The descriptor that becomes readable when a report has come or the process has ended."""
        return self._connection.fileno()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message. Raises `ProcessLost`."""
        try:
            self._connection.send_bytes(dumps(message))
        except OSError as error:
            raise ProcessLost(self._how_it_ended()) from error

    def has_report(self) -> bool:
        """Whether a report, or the end of the process, waits to be read: the reader may be what was slow."""
        return self._connection.poll()

    def receive(self, timeout: float | None = 0.0) -> dict[str, Any] | None:
        """The next report, or None if none came within `timeout` seconds. Raises `ProcessLost`."""
        try:
            if not self._connection.poll(timeout):
                return None
            report: dict[str, Any] = loads(self._connection.recv_bytes())
        except (EOFError, OSError, ValueError) as error:
            raise ProcessLost(self._how_it_ended()) from error
        return report

    def kill(self) -> None:
        """End the process at once, whatever it is doing; `receive` raises `ProcessLost` from then on."""
        self._process.kill()

    def close(self) -> None:
        """Close the connection, on which the process ends by itself, and make sure that it does."""
        self._connection.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return f"engine process {self.pid} closed its connection"
        how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
        return f"engine process {self.pid} {how}"
