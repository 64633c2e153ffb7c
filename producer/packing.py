"""What one request brings, audio or text → its payload."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from producer.audio import AudioLike, encode_payload, read_audio
from producer.text import Text
from protocol.errors import RequestError
from protocol.request import Encoding

Given: TypeAlias = AudioLike | Text
"""What one request brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """It, ready to travel."""

    payload: bytes = field(repr=False)
    encoding: Encoding
    length: int
    """In samples at 16 kHz, or characters."""
    content: NDArray[np.int16] | bytes = field(repr=False)
    """What it is known by, however it travels."""
    warnings: tuple[str, ...] = ()


def pack(given: Given, *, sample_rate: int | None, encoding: Encoding) -> Packed:
    """Read an audio segment or a text; `sample_rate` goes with an array, `encoding` is that of audio.

    Raises:
        RequestError: it is neither, or too short or too long.
    """
    if isinstance(given, Text):
        return _packed_text(given, sample_rate)
    audio = read_audio(given, sample_rate=sample_rate)
    return Packed(
        payload=encode_payload(audio.samples, encoding),
        encoding=encoding,
        length=len(audio.samples),
        content=audio.samples,
        warnings=audio.warnings,
    )


def _packed_text(text: Text, sample_rate: int | None) -> Packed:
    if sample_rate is not None:
        raise RequestError(
            f"sample_rate is {repr(sample_rate)[:40]}: it goes with a NumPy array, not with text",
            "BAD_SAMPLE_RATE",
        )
    payload = text.encoded()
    return Packed(payload=payload, encoding=Encoding.TEXT, length=len(text.content), content=payload)
