"""The digest of a request: the same for the same sound and options, another for any other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from producer.content import DIGEST_BYTES, digest, wanted
from protocol.options import Options

SAMPLES = np.arange(800, dtype=np.int16)


def of(**options: Any) -> bytes:
    return digest(SAMPLES, wanted(Options(**options)))


def test_same_content_same_digest() -> None:
    """However the samples lie in memory, and whether an option was said or left at its default."""
    twice = np.repeat(SAMPLES, 2)[::2]
    assert len(of()) == DIGEST_BYTES
    assert digest(twice, wanted(Options())) == digest(SAMPLES.astype(">i2"), wanted(Options())) == of()
    assert of(beam_size=Options().beam_size) == of()


def test_numbers_are_compared_by_value() -> None:
    """2 and 2.0 are the same patience; a tuple and a list hold the same temperatures."""
    assert of(patience=2) == of(patience=2.0)
    assert of(temperature=[0, 0.2]) == of(temperature=(0.0, 0.2))


@pytest.mark.parametrize(
    "other",
    [
        {"language": "en"},
        {"beam_size": 1},
        {"initial_prompt": "x"},
        {"suppress_blank": False},
        {"patience": 2},
    ],
)
def test_each_option_counts(other: dict[str, Any]) -> None:
    """What is wanted of the audio is part of the content."""
    assert of(**other) != of()


def test_each_sample_counts() -> None:
    """One sample more or less, or one unit louder, is another content."""
    louder = SAMPLES.copy()
    louder[-1] += 1
    digests = {digest(one, wanted(Options())) for one in (SAMPLES, SAMPLES[:-1], SAMPLES[1:], louder)}
    assert len(digests) == 4


def test_the_conversation_counts() -> None:
    """It says what the prompt is; a request of none has the digest that it had before there were any."""
    digests = {digest(SAMPLES, wanted(Options(), conversation)) for conversation in (None, "a", "b")}
    assert len(digests) == 3
    assert digest(SAMPLES, wanted(Options(), None)) == of()


def test_a_text_is_no_audio() -> None:
    """Whatever bytes they have in common."""
    text = "ab" * len(SAMPLES)
    assert digest(text.encode(), wanted(Options())) != digest(
        np.frombuffer(text.encode(), "<i2"), wanted(Options())
    )
