"""What a request's content is known by: the same sound or text and options are the same request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.options import Options

#: Bytes of a digest: two of 10^9 contents have the same one by chance with a probability of 10^-20.
DIGEST_BYTES = 16


def wanted(options: Options, conversation: str | None = None) -> blake2b:
    """The beginning of a digest: what is wanted of an audio segment.

    That includes the conversation, which says what its prompt is. How the audio travels is not part of it,
    nor are tenant, metadata, priority, deadline and expiry: they say for whom and when, not what. Only
    options that differ from their defaults are, so that a new option changes no digest.

    BLAKE2b, since it takes half of SHA-256's time where the processor has no instructions for the latter.
    """
    changes = options.changes()
    if conversation is not None:
        changes["conversation"] = conversation
    return blake2b(json.dumps(_plain(changes), sort_keys=True).encode(), digest_size=DIGEST_BYTES)


def digest(given: NDArray[np.int16] | bytes, begun: blake2b) -> bytes:
    """The digest of an audio segment, int16 of shape ``[n_samples]``, or of a text as UTF-8, and of what is
    `wanted` of it.
    """
    content = begun.copy()
    content.update(b"text:" + given if isinstance(given, bytes) else np.ascontiguousarray(given, "<i2").data)
    return content.digest()


def _plain(value: Any) -> Any:
    """`value` as JSON writes it the same way for 2 and 2.0, and for a list and a tuple."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value
