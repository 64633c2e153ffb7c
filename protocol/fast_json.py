"""Plain data ↔ JSON by orjson, and by Python's own module for the little that orjson refuses.

Several times in a request's life it is JSON; Python's own takes some twenty times as long to write it.
"""

from __future__ import annotations

import json
from typing import Any

import orjson


def dumps(value: object) -> bytes:
    """JSON of `value`; NaN becomes null, which every reader knows.

    Raises:
        TypeError: it is not plain data.
    """
    try:
        return orjson.dumps(value)
    except TypeError:  # half a surrogate pair, a number beyond 64 bits, a key that is a number
        return json.dumps(value).encode()


def loads(text: bytes | str) -> Any:
    """What `text` says.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    try:
        return orjson.loads(text)
    except ValueError:  # NaN, half a surrogate pair, UTF-16
        return json.loads(text)
