"""A sound file of any length, opened so that parts of it can be read, and which kind it is."""

from __future__ import annotations

import io
import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import BinaryIO

from producer.container import FORBIDDEN_ENTRY, Container, Kind, recognise
from producer.source import Source
from protocol.errors import RequestError

#: How much of a file is looked at to tell its kind, in bytes: an MP3 may begin with the picture of its
#: cover, behind which it says how long it is.
HEAD_BYTES = 4_000_000

#: How much is copied or searched at a time, in bytes.
CHUNK_BYTES = 1 << 20

#: Most that is copied to disk from what cannot be read at any place, such as a pipe, in bytes: 24 h of
#: 16-bit stereo at 44.1 kHz are 15 GB. A pipe without an end must not fill the disk.
MAX_COPIED_BYTES = 16_000_000_000

#: Most boxes of an MP4 file looked at: 24 h in fragments of a second have two for each.
MAX_BOXES = 200_000

#: Bytes that `FORBIDDEN_ENTRY` matches.
_ENTRY_BYTES = 20


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """`source` as a file that can be read at any place; an open file is read on from where it stands.

    What cannot go back is copied to a temporary file on disk first.

    Raises:
        RequestError: empty, unreadable, or nothing that holds bytes.
    """
    if isinstance(source, str | os.PathLike):
        with _opened_path(source) as file:
            yield _not_empty(file)
    elif isinstance(source, bytes | bytearray | memoryview):
        yield _not_empty(io.BytesIO(source))
    elif not hasattr(source, "read"):
        raise RequestError(
            f"the audio is a {type(source).__name__}: expected a path, bytes, a binary file, a NumPy array"
            " or a pair of array and sample rate"
        )
    elif isinstance(source, io.TextIOBase):
        raise RequestError("the audio is a file opened as text: open it with mode 'rb'")
    elif _is_at_start(source):
        yield _not_empty(source)
    else:
        with TemporaryFile() as copy:
            _copy(source, copy)
            yield _not_empty(copy)


def size_of(file: BinaryIO) -> int:
    """How many bytes `file` has."""
    return file.seek(0, io.SEEK_END)


def read_at(file: BinaryIO, at: int, n_bytes: int) -> bytes:
    """Up to `n_bytes` of `file` from `at` on: fewer only at its end."""
    file.seek(at)
    return file.read(n_bytes)


def recognised(file: BinaryIO) -> Container:
    """What `file` is, by its first bytes, never by its name.

    Unlike an audio segment it may be cut short: a recorder that lost its power wrote everything before.

    Raises:
        RequestError: not a kind that is read, or damaged in a way that shows at its beginning.
    """
    head = read_at(file, 0, HEAD_BYTES)
    if head.startswith(b"OggS"):
        return Container(kind=Kind.OGG)
    if head[4:8] == b"ftyp":
        _check_boxes(file)
        return Container(kind=Kind.MP4)
    return recognise(head)


def _check_boxes(file: BinaryIO) -> None:
    """Refuse what must not reach libav, wherever in the file its description stands."""
    at, end = 0, size_of(file)
    for _ in range(MAX_BOXES):
        header = read_at(file, at, 16)
        if len(header) < 8:
            return
        size, name = struct.unpack_from(">I4s", header)
        if size == 1 and len(header) == 16:
            (size,) = struct.unpack_from(">Q", header, 8)
        box_end = min(end, at + size) if size else end
        if name == b"moov" and _holds(file, FORBIDDEN_ENTRY, at, box_end):
            raise RequestError("the MP4 file holds encrypted or IAMF sound", "UNSUPPORTED_FORMAT")
        if box_end < at + 8 or box_end == end:
            return
        at = box_end
    raise RequestError(f"the MP4 file has more than {MAX_BOXES} boxes", "AUDIO_CORRUPT")


def _holds(file: BinaryIO, pattern: re.Pattern[bytes], start: int, end: int) -> bool:
    return any(
        pattern.search(read_at(file, at, min(CHUNK_BYTES, end - at) + _ENTRY_BYTES))
        for at in range(start, end, CHUNK_BYTES)
    )


@contextmanager
def _opened_path(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    file = _open(path)
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise RequestError(f"{_shown(path)} is not a regular file", "PATH_FORBIDDEN")
        yield file


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    shown = _shown(path)
    try:
        return open(path, "rb", opener=_open_without_waiting)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise RequestError(f"there is no file {shown}", "FILE_NOT_FOUND") from error
    except (IsADirectoryError, PermissionError) as error:
        raise RequestError(f"{shown} may not be read: {error.strerror}", "PATH_FORBIDDEN") from error
    except OSError as error:
        raise RequestError(f"{shown} cannot be read: {error.strerror}", "FILE_UNREADABLE") from error


def _open_without_waiting(path: str, flags: int) -> int:
    """Open `path`; a FIFO would otherwise wait for somebody to write into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _shown(path: str | os.PathLike[str]) -> str:
    return repr(os.fspath(path))[:80]


def _is_at_start(file: BinaryIO) -> bool:
    try:
        return file.seekable() and file.tell() == 0
    except (AttributeError, OSError, ValueError):
        return False


def _copy(source: BinaryIO, copy: BinaryIO) -> None:
    try:
        while chunk := source.read(CHUNK_BYTES):
            copy.write(chunk)
            if copy.tell() > MAX_COPIED_BYTES:
                raise RequestError(
                    f"the audio has more than {MAX_COPIED_BYTES} bytes, the most that is copied from what"
                    " cannot be read at any place: give a path",
                    "TOO_LARGE",
                )
    except (OSError, ValueError, TypeError) as error:
        raise RequestError(f"reading the audio failed: {type(error).__name__}", "FILE_UNREADABLE") from error


def _not_empty(file: BinaryIO) -> BinaryIO:
    if not size_of(file):
        raise RequestError("the audio is empty: 0 bytes", "AUDIO_EMPTY")
    file.seek(0)
    return file
