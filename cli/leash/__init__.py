"""A child process that ends with its parent, even when the parent is killed.

Between the two stands a small program, `cli.leash.__main__`, whose standard input is a pipe that only
the parent holds: the leash. The kernel lets go of it however the parent dies.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

#: The program that holds the leash; run as a bare script, so that it starts in no time.
PROGRAM = Path(__file__).with_name("__main__.py")

#: How long the command may take to end once it is told to, in seconds: a Celery worker finishes its
#: batch, Redis writes its append-only file.
GRACE_SECONDS = 10.0

#: How often `Leashed.wait_for_line` looks into the log, in seconds: short beside any start-up.
LOOK_EVERY_SECONDS = 0.02

#: How much of a log an error message quotes, in characters.
QUOTED_CHARACTERS = 2_000


class DidNotStart(RuntimeError):
    """A leashed command is not running: never started, ended too soon, or not ready in time."""


class Leashed:
    """A command on a leash: starts on entering the context, is stopped on leaving it.

    Its output, both streams, is appended to `log`. It stands in a session of its own, so that Ctrl-C
    in the terminal reaches only the parent, which then decides in which order to stop things. Do not
    fork (``multiprocessing``'s fork method) while one is running: the copy would hold the leash too.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self.command = tuple(command)
        self.log = log
        self._env = env
        self._cwd = cwd
        self._grace = grace
        self._log_start = 0
        self._leash: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the command itself, not of its leash."""
        if self._pid is None:
            raise DidNotStart(f"{self._name()} has not been started")
        return self._pid

    def start(self) -> None:
        """Start the command; returns once it has a process id.

        Raises:
            DidNotStart: the command could not be run at all.
        """
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        news, announce = os.pipe()
        program = [sys.executable, "-I", "-S", str(PROGRAM), "--grace", str(self._grace)]
        try:
            with self.log.open("ab") as log:
                self._leash = subprocess.Popen(
                    [*program, "--announce", str(announce), "--", *self.command],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=self._env,
                    cwd=self._cwd,
                    pass_fds=[announce],
                    start_new_session=True,
                )
        finally:
            os.close(announce)
        with open(news, "rb") as said:
            pid = said.read()
        if not pid:
            self.stop()
            raise DidNotStart(f"could not run {self.command[0]}: {self._said()}")
        self._pid = int(pid)

    def stop(self, timeout: float | None = None) -> int | None:
        """Let go of the leash and wait for the end; returns the exit status, None if never started.

        The leash itself kills what does not end within the grace, so `timeout` (seconds, default
        twice the grace) is only for a leash that was stopped or lost.
        """
        if self._leash is None:
            return None
        assert self._leash.stdin is not None  # noqa: S101 - it was opened as a pipe
        self._leash.stdin.close()
        try:
            return self._leash.wait(2 * self._grace if timeout is None else timeout)
        except subprocess.TimeoutExpired:
            self._leash.kill()
            return self._leash.wait()

    def poll(self) -> int | None:
        """The exit status if the command has ended, else None."""
        return None if self._leash is None else self._leash.poll()

    def wait(self, timeout: float) -> int:
        """Wait for the command to end by itself; returns its exit status.

        Raises:
            TimeoutError: it still runs after `timeout` seconds.
        """
        if self._leash is None:
            raise DidNotStart(f"{self._name()} has not been started")
        try:
            return self._leash.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self._name()} still runs after {timeout:.0f} s; {self._quoted()}") from None

    def wait_for_line(self, pattern: str, timeout: float) -> re.Match[str]:
        """Wait until a line of the output matches the regular expression `pattern`.

        Raises:
            DidNotStart: the command ended first, or `timeout` seconds went by; quotes its output.
        """
        give_up_at = time.monotonic() + timeout
        line = re.compile(pattern, re.MULTILINE)
        while True:
            ended = self.poll()
            if match := line.search(self._said()):
                return match
            if ended is not None:
                raise DidNotStart(f"{self._name()} ended with status {ended}; {self._quoted()}")
            if time.monotonic() > give_up_at:
                raise DidNotStart(
                    f"{self._name()} did not say {pattern!r} within {timeout:.0f} s; {self._quoted()}"
                )
            with suppress(subprocess.TimeoutExpired):
                assert self._leash is not None  # noqa: S101 - `poll` has just seen it
                self._leash.wait(LOOK_EVERY_SECONDS)

    def _name(self) -> str:
        return Path(self.command[0]).name

    def _said(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", "replace")

    def _quoted(self) -> str:
        said = self._said().strip()[-QUOTED_CHARACTERS:]
        return f"the log is {self.log} and ends with:\n{said or '(nothing)'}"
