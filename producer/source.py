"""The bytes of a sound file, from wherever the caller has them: a path, a buffer, an open file."""

from __future__ import annotations

import io
import os
import stat
from typing import BinaryIO

from protocol.errors import RequestError

#: Largest sound file, in bytes: the limit OpenAI's transcription API has, and 13 minutes of 16 kHz PCM.
MAX_BYTES = 25_000_000

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO


def read_source(source: Source) -> bytes:
    """All bytes of `source`, at most `MAX_BYTES`; an open file is read on from where it stands.

    Raises:
        RequestError: empty, too large, unreadable, or nothing that holds bytes.
    """
    if isinstance(source, str | os.PathLike):
        data = _read_path(source)
    elif isinstance(source, bytes | bytearray | memoryview):
        _check_size(memoryview(source).nbytes)
        data = bytes(source)
    elif hasattr(source, "read"):
        data = _read_file(source)
    else:
        raise RequestError(
            f"the audio is a {type(source).__name__}: expected a path, bytes, a binary file, a NumPy array"
            " or a pair of array and sample rate"
        )
    if not data:
        raise RequestError("the audio is empty: 0 bytes", "AUDIO_EMPTY")
    return data


def _read_path(path: str | os.PathLike[str]) -> bytes:
    shown = repr(os.fspath(path))[:80]
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise RequestError(f"{shown} is not a regular file", "PATH_FORBIDDEN")
            _check_size(about.st_size)
            return _read_file(file)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise RequestError(f"there is no file {shown}", "FILE_NOT_FOUND") from error
    except (IsADirectoryError, PermissionError) as error:
        raise RequestError(f"{shown} may not be read: {error.strerror}", "PATH_FORBIDDEN") from error
    except OSError as error:
        raise RequestError(f"{shown} cannot be read: {error.strerror}", "FILE_UNREADABLE") from error


def _open_without_waiting(path: str, flags: int) -> int:
    """Open `path`; a FIFO would otherwise wait for somebody to write into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_file(file: BinaryIO) -> bytes:
    if isinstance(file, io.TextIOBase):
        raise RequestError("the audio is a file opened as text: open it with mode 'rb'")
    chunks: list[bytes] = []
    size = 0
    while chunk := _read_chunk(file, MAX_BYTES + 1 - size):
        chunks.append(chunk)
        size += len(chunk)
        _check_size(size)
    return b"".join(chunks)


def _read_chunk(file: BinaryIO, size: int) -> bytes:
    try:
        chunk = file.read(size)
    except (OSError, ValueError) as error:
        raise RequestError(f"reading the audio failed: {type(error).__name__}", "FILE_UNREADABLE") from error
    if not isinstance(chunk, bytes | bytearray):
        raise RequestError(
            f"reading the audio gave {type(chunk).__name__}: expected bytes", "FILE_UNREADABLE"
        )
    return bytes(chunk)


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise RequestError(f"the audio has at least {size} bytes, the limit is {MAX_BYTES}", "TOO_LARGE")
