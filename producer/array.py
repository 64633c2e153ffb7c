"""Sound that the caller already holds as a NumPy array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from producer.sound import MAX_CHANNELS, SAMPLE_TYPES, Sound, check_channels, check_rate, mixed
from protocol.errors import RequestError


def is_ready(array: NDArray[Any]) -> bool:
    """Whether `array` holds what a payload does, so that at 16 kHz there is nothing to mix or to convert."""
    return array.ndim == 1 and array.dtype == np.int16


def read_array(array: NDArray[Any], rate: object) -> Sound:
    """The sound in `array`, of shape ``[n]``, ``[n, channels]`` or ``[channels, n]``.

    The shorter of two axes is the channels. Byte order and strides may be any.
    Integers are taken at full scale, floats as −1..1.

    Raises:
        RequestError: `BAD_ARRAY` for another type or shape, or whatever is wrong with the sound.
    """
    rate = check_rate(rate)
    native = array.dtype.newbyteorder("=")
    if native not in SAMPLE_TYPES:
        known = ", ".join(str(kind) for kind in SAMPLE_TYPES)
        raise RequestError(f"the array holds {str(array.dtype)[:40]}: expected one of {known}", "BAD_ARRAY")
    return mixed(_channels_last(np.asarray(array)).astype(native, copy=False), rate)


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    """A view of `array` with shape ``[n, channels]``."""
    if array.ndim == 1:
        return array[:, np.newaxis]
    if array.ndim != 2:
        raise RequestError(f"the array has {array.ndim} axes: expected 1 or 2", "BAD_ARRAY")
    if array.size == 0:
        return array.reshape(0, 1)
    rows, columns = array.shape
    if rows == columns <= MAX_CHANNELS:
        raise RequestError(
            f"the array has shape {array.shape}: which axis is the channels is unclear", "BAD_ARRAY"
        )
    check_channels(min(rows, columns))
    return array if columns < rows else array.T
