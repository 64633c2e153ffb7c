"""Sound for the producer's tests: real human speech, and any sound in any container."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import sound_files

Encode = Callable[[str, NDArray[np.int16]], bytes]


@pytest.fixture(scope="session")
def speech() -> Path:
    """The folder of human speech; its README credits the speakers."""
    return Path(__file__).parents[1] / "data" / "speech_human"


@pytest.fixture(scope="session")
def encode() -> Encode:
    """A function from one of `sound_files.ENCODERS` and 16 kHz mono int16 samples to a file."""
    return sound_files.encode
