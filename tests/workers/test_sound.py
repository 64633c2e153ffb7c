"""Sound files that engines make."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
import pytest

from workers.engine.sound import wav_file


def read(file: bytes) -> tuple[list[int], int]:
    with wave.open(io.BytesIO(file)) as wav:
        assert (wav.getnchannels(), wav.getsampwidth()) == (1, 2)
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2").tolist(), wav.getframerate()


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_floats_are_full_scale_at_one(kind: Any) -> None:
    """What is beyond is clipped, and does not turn over."""
    samples = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0], kind)
    assert read(wav_file(samples, 24_000)) == (
        [0, 16_384, -16_384, 32_767, -32_768, 32_767, -32_768],
        24_000,
    )


@pytest.mark.parametrize("order", ["<i2", ">i2"])
def test_integers_are_written_as_they_are(order: str) -> None:
    """In whatever order their bytes are."""
    assert read(wav_file(np.array([1, -2, 32_767], order), 8_000)) == ([1, -2, 32_767], 8_000)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 8), np.float32), r"float32 of shape \(2, 8\): expected int16 or floats of shape \[n\]"),
        (np.zeros(8, np.int32), "int32 of shape"),
        (None, "object of shape"),
        ("text", "<U4 of shape"),
        (np.array([0.0, np.nan]), "not all finite"),
        (np.array([np.inf], np.float32), "not all finite"),
    ],
)
def test_what_nobody_could_hear_is_refused(samples: Any, message: str) -> None:
    """By a mistake that says what was given."""
    with pytest.raises(ValueError, match=message):
        wav_file(samples, 16_000)


def test_what_becomes_an_array_will_do() -> None:
    """A list, or a rate of NumPy's."""
    assert read(wav_file([0.0, 0.5], np.int64(8_000))) == ([0, 16_384], 8_000)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0, -1, 2**33, 16_000.5, True])
def test_a_sample_rate_is_a_number_of_hertz(rate: Any) -> None:
    """What a WAV file can say."""
    with pytest.raises(ValueError, match="sample_rate is"):
        wav_file(np.zeros(8, np.int16), rate)
