"""The process that decodes strangers' sound files: ``python -m producer.decode_child DESCRIPTOR``.

It has one socket, to its parent, and no means to open anything else; not even the file that it decodes is
open here: it asks the parent for each stretch. Whatever goes wrong in native code ends this process and no
other. It ends by itself when its parent has gone.

It says ``{"ready": true}`` and waits for an order, which the first stretch of the file follows. Then both
take turns, and each message but samples and stretches of the file is one JSON object:

====================================  =======================================================
child                                 parent
====================================  =======================================================
``{"read": [at, n_bytes]}``           these bytes of the file
``{"warning": text}``                 (nothing)
``{"samples": n}``, then the samples  for a recording an empty message, once it wants more
``{"refused": [message, code]}``      the next order
``{"end": true}``                     the next order
====================================  =======================================================
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, BinaryIO, cast

import av.subtitles.codeccontext
import av.subtitles.stream  # noqa: F401 - PyAV imports these two with its first file, when none can be opened
import numpy as np
from numpy.typing import NDArray

from producer.container import Container, Kind
from producer.decode_limits import ADDRESS_SPACE, READ_BYTES, allow_piece, confine, rest
from producer.decoding import decode
from producer.demuxing import decoded
from producer.sound import resampled
from producer.streaming import Warn, at_16_khz
from protocol.errors import RequestError


class _Remote(io.RawIOBase):
    """The file that the parent has, read through it."""

    def __init__(self, connection: Connection, size: int, head: bytes) -> None:
        self._connection = connection
        self._size = size
        self._head = head
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place in the file."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if self._at < 0:
            raise ValueError(f"there is no byte {self._at}")
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` with what comes next; 0 at the end."""
        read = self._head[self._at : self._at + len(buffer)]
        if not read and self._at < self._size:
            _say(self._connection, read=[self._at, len(buffer)])
            read = self._connection.recv_bytes()
        buffer[: len(read)] = read
        self._at += len(read)
        return len(read)


def main(descriptor: int) -> None:
    """Serve the parent at the other end of `descriptor` until it goes."""
    connection = Connection(descriptor)
    confine()
    with suppress(EOFError, OSError):  # the parent has gone
        _say(connection, ready=True)
        while True:
            _serve(connection, json.loads(connection.recv_bytes()))


def _serve(connection: Connection, order: dict[str, Any]) -> None:
    try:
        allow_piece()
        for samples in _samples(connection, order):
            _say(connection, samples=len(samples))
            connection.send_bytes(np.ascontiguousarray(samples).data.cast("B"))
            if order["is_recording"]:
                rest()
                connection.recv_bytes()
                allow_piece()
        _say(connection, end=True)
    except RequestError as error:
        _say(connection, refused=[error.message, error.code])
    except MemoryError:
        about = f"decoding the file takes more than {ADDRESS_SPACE} bytes of memory, the limit"
        _say(connection, refused=[about, "DECODED_TOO_LARGE"])
    rest()


def _samples(connection: Connection, order: dict[str, Any]) -> Iterator[NDArray[np.int16]]:
    """What is ordered, at 16 kHz: one audio segment in one piece, or a recording in many."""
    warn: Warn = partial(_warn, connection)
    remote = _Remote(connection, order["size"], head=connection.recv_bytes())
    file = cast("BinaryIO", io.BufferedReader(remote, READ_BYTES))
    container = Container(kind=Kind(order["kind"]), states_length=order["states_length"])
    if order["is_recording"]:
        return at_16_khz(decoded(file, container, warn))
    sound = decode(file, container)
    for warning in sound.warnings:
        warn(warning)
    return iter([resampled(sound)])


def _warn(connection: Connection, text: str) -> None:
    _say(connection, warning=text)


def _say(connection: Connection, **message: object) -> None:
    connection.send_bytes(json.dumps(message).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
