"""A decoding process as its parent sees it: start, have a file decoded, end.

What comes from it is taken for no more than bytes, since it has handled a stranger's file: nothing is
unpickled, and no message may be longer than the longest honest one.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from producer.container import Container
from producer.decode_limits import CPU_SECONDS, READ_BYTES, WALL_SECONDS
from producer.streaming import Warn
from protocol.errors import RequestError, TranscriptionError

#: What a decoding process is; it gets the number of its end of the socket as its last argument. ``-P``: a
#: file of the working directory must not be taken for a module.
COMMAND = (sys.executable, "-P", "-m", "producer.decode_child")

#: Variables it inherits: how libraries are found. The rest is none of its business, least of all passwords.
INHERITED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME")

#: Longest honest message, in bytes: 30 s of int16 at 16 kHz are 960 000, ten seconds of silence in one piece
#: of a recording, behind almost a frame of others, less.
MAX_MESSAGE_BYTES = 2_000_000

#: How long it may take to start, in seconds: half a second, or much longer where others work.
START_SECONDS = 60.0

#: How long it is waited for beyond `WALL_SECONDS`, in which it ends itself and the reason is known.
GRACE_SECONDS = 1.0


class DecoderDied(Exception):
    """The decoding process has ended in the middle of a file; the message says how."""


class DecodeProcess:
    """One decoding process, at work on one file at a time. Use from one thread at a time."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self.is_idle = True
        """Whether it can take a file; one that was left in the middle of a file cannot."""
        self._is_ready = False
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._process = _started([*command, str(theirs.fileno())], theirs.fileno())
            self._connection = Connection(ours.detach())

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def pieces(
        self, file: BinaryIO, container: Container, warn: Warn, *, is_recording: bool
    ) -> Iterator[NDArray[np.int16]]:
        """The sound of `file` at 16 kHz, each piece decoded when it is asked for.

        Raises:
            RequestError: the file cannot be decoded, or not within the limits on time and memory.
            DecoderDied: it brought the process down, or somebody else did.
            TranscriptionError: the process cannot be started.
        """
        self.is_idle = False
        try:
            self._await_ready()
            self._order(file, container, is_recording)
            while (piece := self._piece(file, warn)) is not None:
                yield piece
                if is_recording:
                    self._connection.send_bytes(b"")
        except (EOFError, OSError) as error:
            raise self._died() from error
        self.is_idle = True

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """Let go of a process that is another's: this one was forked from its parent."""
        self._connection.close()
        self._process.poll()  # notes that it is not ours, which would otherwise be a warning

    def _await_ready(self) -> None:
        if not self._is_ready:
            if not self._connection.poll(START_SECONDS):
                raise _unavailable(f"not ready after {START_SECONDS:g} s")
            self._connection.recv_bytes(MAX_MESSAGE_BYTES)
            self._is_ready = True

    def _order(self, file: BinaryIO, container: Container, is_recording: bool) -> None:
        order = {
            "kind": container.kind,
            "states_length": container.states_length,
            "size": file.seek(0, io.SEEK_END),
            "is_recording": is_recording,
        }
        self._connection.send_bytes(json.dumps(order).encode())
        self._connection.send_bytes(_read(file, 0, READ_BYTES))

    def _piece(self, file: BinaryIO, warn: Warn) -> NDArray[np.int16] | None:
        """The next piece, or None at the end."""
        give_up_at = time.monotonic() + WALL_SECONDS + GRACE_SECONDS
        while True:
            match self._heard(give_up_at):
                case {"read": [int(at), int(n_bytes)]}:
                    self._connection.send_bytes(_read(file, at, min(n_bytes, READ_BYTES)))
                case {"warning": text}:
                    warn(str(text)[:200])
                case {"samples": _}:
                    sound = self._connection.recv_bytes(MAX_MESSAGE_BYTES)
                    return np.frombuffer(sound, np.int16, len(sound) // 2)
                case {"refused": [message, code]}:
                    self.is_idle = True
                    raise RequestError(str(message)[:500], str(code)[:40])
                case {"end": True}:
                    return None
                case _:
                    raise EOFError  # it has lost its mind

    def _heard(self, give_up_at: float) -> Any:
        if not self._connection.poll(max(0.0, give_up_at - time.monotonic())):
            raise _too_slow()
        try:
            return json.loads(self._connection.recv_bytes(MAX_MESSAGE_BYTES))
        except ValueError as error:
            raise EOFError from error

    def _died(self) -> Exception:
        """What the end of the process means."""
        self._connection.close()
        try:
            status = self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return DecoderDied("closed its connection")
        if -status in (signal.SIGXCPU, signal.SIGALRM):
            return _too_slow()
        how = f"was ended by signal {-status}" if status < 0 else f"exited with status {status}"
        return DecoderDied(how) if self._is_ready else _unavailable(how)


def _started(command: list[str], descriptor: int) -> subprocess.Popen[bytes]:
    """A process with one open descriptor, in a session of its own: Ctrl-C is its parent's to hear."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environ = {
        **inherited,
        "PYTHONPATH": os.pathsep.join(filter(os.path.exists, sys.path)),
        "OPENBLAS_NUM_THREADS": "1",
    }
    nowhere = subprocess.DEVNULL
    try:
        return subprocess.Popen(
            command,
            env=environ,
            pass_fds=[descriptor],
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,
        )
    except OSError as error:
        raise _unavailable(error.strerror) from error


def _read(file: BinaryIO, at: int, n_bytes: int) -> bytes:
    try:
        file.seek(at)
        return file.read(n_bytes)
    except (OSError, ValueError) as error:
        raise RequestError(f"reading the audio failed: {type(error).__name__}", "FILE_UNREADABLE") from error


def _too_slow() -> RequestError:
    return RequestError(
        f"decoding the file took more than {CPU_SECONDS} s of processor time, or {WALL_SECONDS:g} s in all",
        "DECODE_TIMEOUT",
    )


def _unavailable(why: str | None) -> TranscriptionError:
    return TranscriptionError(f"the process that decodes audio does not start: {why}", "DECODER_UNAVAILABLE")
