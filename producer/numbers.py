"""Samples that come as a list of numbers, as JSON has them and as `array.tolist()` makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from producer.sound import check_length, check_rate
from protocol.errors import RequestError

#: What a list of whole numbers alone is taken for: int16, the only kind whose full scale everybody means.
_LEAST, _MOST = -32_768, 32_767


def read_numbers(values: object, rate: object) -> tuple[NDArray[Any], int]:
    """The array, shape ``[n_samples]``, and the rate in Hz that a list of samples of one channel stands for.

    Whole numbers alone are int16, others float64 in −1..1. An array comes through as it is.

    Raises:
        RequestError: no list, something in it that is no number, too short or long for an audio segment, or
            whole numbers beyond int16.
    """
    rate = check_rate(rate)
    if isinstance(values, np.ndarray):
        return values, rate
    if not isinstance(values, list | tuple):
        raise RequestError(
            f"audio_data is of type {type(values).__name__}: expected a list of numbers", "BAD_ARRAY"
        )
    check_length(len(values), rate)  # before anything is done with them
    return _array(values), rate


def _array(values: list[Any] | tuple[Any, ...]) -> NDArray[Any]:
    kinds = set(map(type, values))
    if wrong := {kind for kind in kinds if not _is_number(kind)}:
        at = next(at for at, value in enumerate(values) if type(value) in wrong)
        raise RequestError(
            f"audio_data[{at}] is {repr(values[at])[:40]}: expected numbers, of one channel", "BAD_ARRAY"
        )
    if all(issubclass(kind, int | np.integer) for kind in kinds):
        return _integers(values)
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        raise RequestError(
            "audio_data holds a whole number of more than 300 digits: expected −1..1", "SAMPLES_OUT_OF_RANGE"
        ) from None


def _integers(values: list[Any] | tuple[Any, ...]) -> NDArray[np.int16]:
    farthest = max(min(values), max(values), key=abs)
    if not _LEAST <= farthest <= _MOST:
        raise RequestError(
            f"audio_data holds {str(farthest)[:40]}: whole numbers are int16, {_LEAST} to {_MOST}",
            "SAMPLES_OUT_OF_RANGE",
        )
    return np.array(values, dtype=np.int16)


def _is_number(kind: type) -> bool:
    return issubclass(kind, int | float | np.integer | np.floating) and kind is not bool
