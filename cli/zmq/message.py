"""ZeroMQ frames ↔ one JSON object: whatever arrives becomes a mapping or a `RequestError`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from protocol.errors import RequestError

#: Largest message, in bytes: two minutes of sound at 16 kHz, at 16 bytes for a number as Python writes a
#: float32. Reading JSON keeps everybody else waiting, about 0.1 µs a byte.
MAX_MESSAGE_BYTES = 32 * 1024 * 1024


def unwrapped(frames: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The envelope that the answer goes back in, and the body.

    A REQ socket puts an empty frame between them; a DEALER that leaves it out is understood too.
    """
    end = frames.index(b"") + 1 if b"" in frames else 1
    return list(frames[:end]), list(frames[end:])


def read_message(body: Sequence[bytes]) -> Mapping[str, Any]:
    """The object that the body holds.

    Raises:
        RequestError: several frames or none, too large, not UTF-8, not JSON, a name twice, or no object.
    """
    if len(body) != 1:
        raise RequestError(f"the message has {len(body)} frames: expected 1, of JSON")
    if len(body[0]) > MAX_MESSAGE_BYTES:
        raise RequestError(
            f"the message has {len(body[0])} bytes, the limit is {MAX_MESSAGE_BYTES}", "TOO_LARGE"
        )
    try:
        message = json.loads(body[0].decode("utf-8"), object_pairs_hook=_object)
    except RecursionError:
        raise RequestError("the message is not JSON that can be read: nested too deeply") from None
    except ValueError as error:  # among them a number of more digits than Python reads
        raise RequestError(f"the message is not JSON: {str(error)[:80]}") from None
    if not isinstance(message, dict):
        raise RequestError(f"the message is of type {type(message).__name__}: expected an object")
    return message


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Of a name that comes twice Python would take the last, and somebody else the first: it is refused."""
    made = dict(pairs)
    if len(made) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise RequestError(f"the message says {twice[:40]!r} twice")
    return made


def write_message(answer: Mapping[str, Any]) -> bytes:
    """The frame for an answer."""
    return json.dumps(answer).encode("ascii")
