"""How long a batch takes, by its size and its longest item: four terms that every rule calculates with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Value = TypeVar("Value", float, Vector)

#: Lengths matter if the longest that waits takes this much more than the shortest, in a full batch. Below it
#: sorting them gains less than the jitter of an engine call, and first come first served is fairer.
LENGTHS_MATTER = 1.05

#: Nor do they matter if a full batch of the longest takes less than this, in seconds: smaller batches of like
#: lengths lose more then by what passes between two of them, and by what was prepared for nobody. Measured: a
#: sixth of the throughput at 0.04 s.
LEAST_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds of an engine call: `call + item · size + longest · L + padded · size · L`, L s of audio."""

    call: float
    item: float
    longest: float = 0.0
    padded: float = 0.0

    def seconds(self, size: Value, longest: Value) -> Value:
        """Of a batch of `size` items, the longest of which has `longest` seconds; numbers, or arrays."""
        return self.call + self.item * size + (self.longest + self.padded * size) * longest

    def most(self, seconds: float, longest: float) -> float:
        """How many items of up to `longest` seconds run within `seconds`: whole, below 1 if none does."""
        each = self.item + self.padded * longest
        left = seconds - self.call - self.longest * longest
        if each <= 0:
            return float("inf") if left >= 0 else 0.0
        return left // each

    def lengths_matter(self, size: int, shortest: float, longest: float) -> bool:
        """Whether batches of `size` should be made of items of like length."""
        most = self.seconds(float(size), longest)
        return most >= LEAST_SECONDS and most > LENGTHS_MATTER * self.seconds(float(size), shortest)
