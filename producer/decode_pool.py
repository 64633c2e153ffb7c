"""Strangers' sound files, decoded in processes of their own: a crash there is an error here."""

from __future__ import annotations

import atexit
import io
import os
from collections import deque
from collections.abc import Callable, Iterator
from threading import BoundedSemaphore
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from producer.container import Container
from producer.decode_process import DecodeProcess, DecoderDied
from producer.streaming import Warn
from protocol.errors import RequestError

#: Audio segments decoded at a time: more than there are processors would only take each other's time, and
#: memory, of which an idle process has some 60 MB.
AT_ONCE = os.cpu_count() or 1


class DecodePool:
    """Decoding processes for audio segments, started when they are needed and reused. Use from any thread."""

    def __init__(self, start: Callable[[], DecodeProcess] = DecodeProcess) -> None:
        self._start = start
        self._idle: deque[DecodeProcess] = deque()
        self._room = BoundedSemaphore(AT_ONCE)

    def decode(self, file: bytes, container: Container, warn: Warn) -> NDArray[np.int16]:
        """The audio segment in `file`, 16 kHz mono of shape ``[n_samples]``.

        A process that has worked before may have been damaged by an earlier file: if it dies, the file gets a
        fresh one, so that nobody fails for a stranger's file.

        Raises:
            RequestError: the file cannot be decoded, or not within the limits on time and memory.
        """
        with self._room:
            used = self._taken()
            if used is not None:
                try:
                    return self._decode(used, file, container, warn)
                except DecoderDied:
                    pass
            try:
                return self._decode(self._start(), file, container, warn)
            except DecoderDied as died:
                raise _brought_down(died) from died

    def close(self) -> None:
        """End all processes that are idle."""
        while (idle := self._taken()) is not None:
            idle.close()

    def forget(self) -> None:
        """Begin anew after a fork: the processes are the parent's, and a thread of its may have had room."""
        while (idle := self._taken()) is not None:
            idle.forget()
        self._room = BoundedSemaphore(AT_ONCE)

    def _taken(self) -> DecodeProcess | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _decode(
        self, process: DecodeProcess, file: bytes, container: Container, warn: Warn
    ) -> NDArray[np.int16]:
        try:
            pieces = list(process.pieces(io.BytesIO(file), container, warn, is_recording=False))
        finally:
            self._put_back(process)
        return np.concatenate([np.zeros(0, np.int16), *pieces])

    def _put_back(self, process: DecodeProcess) -> None:
        if process.is_idle and len(self._idle) < AT_ONCE:
            self._idle.append(process)
        else:
            process.close()


def decode_segment(file: bytes, container: Container, warn: Warn) -> NDArray[np.int16]:
    """`DecodePool.decode` with the processes that all of this process share."""
    return _POOL.decode(file, container, warn)


def decode_recording(
    file: BinaryIO, container: Container, warn: Warn, *, start: Callable[[], DecodeProcess] = DecodeProcess
) -> Iterator[NDArray[np.int16]]:
    """The sound of `file` at 16 kHz in pieces of about a second, by a process that it has for itself.

    Raises:
        RequestError: the file cannot be decoded, or not within the limits on time and memory. If pieces came
            before, the rest of it cannot.
    """
    process = start()
    try:
        yield from process.pieces(file, container, warn, is_recording=True)
    except DecoderDied as died:
        raise _brought_down(died) from died
    finally:
        process.close()


def _brought_down(died: DecoderDied) -> RequestError:
    return RequestError(f"the file brought down the process that decodes it, which {died}", "AUDIO_CORRUPT")


_POOL = DecodePool()
atexit.register(_POOL.close)
os.register_at_fork(after_in_child=_POOL.forget)
