"""The program that holds a command on a leash: ``python -m cli.leash -- command…``.

Standard input is the leash, a pipe whose other end only the parent holds. At end of file the command's
process group gets SIGTERM, and after a grace SIGKILL. That needs nothing but pipes, so it holds on Linux
and macOS alike. Should this program itself be killed, Linux kills the command too (PR_SET_PDEATHSIG).

SIGTERM and SIGINT are passed on, and so is the exit status (128 + n if signal n ended the command).
Standard library only, and nothing of ours: it runs as a bare script.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

#: `prctl` option that names the signal a process gets when its parent dies (linux/prctl.h).
PR_SET_PDEATHSIG = 1

#: What a shell answers for a command that could not be run.
NOT_FOUND = 127


def hold(command: Sequence[str], *, grace: float, announce: int | None = None) -> int:
    """Run `command` until it ends by itself or standard input does; returns the exit status."""
    signals = _signals()
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - no threads here
        )
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND
    if announce is not None:
        os.write(announce, str(child.pid).encode())
        os.close(announce)
    try:
        return _wait(child, signals, grace)
    finally:
        _signal_group(child, signal.SIGKILL)  # whatever the command started and left behind


def _wait(child: subprocess.Popen[bytes], signals: int, grace: float) -> int:
    kill_at = float("inf")
    with selectors.SelectSelector() as ready:
        ready.register(signals, selectors.EVENT_READ)
        ready.register(sys.stdin, selectors.EVENT_READ)
        while (status := child.poll()) is None:
            timeout = None if kill_at == float("inf") else max(0.0, kill_at - time.monotonic())
            for key, _ in ready.select(timeout):
                if key.fd == signals:
                    _pass_on(child, os.read(signals, 64))
                elif not os.read(key.fd, 4096):
                    ready.unregister(sys.stdin)
                    _signal_group(child, signal.SIGTERM)
                    kill_at = time.monotonic() + grace
            if time.monotonic() >= kill_at:
                _signal_group(child, signal.SIGKILL)
                return _shell_status(child.wait())
    return _shell_status(status)


def _signals() -> int:
    """A file descriptor from which the numbers of arriving signals can be read, a byte each."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _pass_on(child: subprocess.Popen[bytes], numbers: bytes) -> None:
    for number in numbers:
        if number != signal.SIGCHLD:
            _signal_group(child, number)


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    # macOS answers EPERM for a group in which only zombies are left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _die_with_parent() -> Callable[[], None] | None:
    """What a new process runs so that the kernel kills it with its parent; None where none can."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def bind() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel knew
            os.kill(os.getpid(), signal.SIGKILL)

    return bind


def _shell_status(returncode: int) -> int:
    return 128 - returncode if returncode < 0 else returncode


def main() -> int:
    """The program: parse the command line and hold the command on the leash."""
    parser = argparse.ArgumentParser(
        prog="python -m cli.leash", description="Run a command that ends with us."
    )
    parser.add_argument("--grace", type=float, default=10.0, help="seconds from SIGTERM to SIGKILL")
    parser.add_argument("--announce", type=int, help="file descriptor to write the command's process id to")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    return hold(given.command, grace=given.grace, announce=given.announce)


if __name__ == "__main__":
    sys.exit(main())
