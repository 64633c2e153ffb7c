"""How long a batch of this shape will take: learnt batch by batch from a calibration that is never forgotten.

    seconds = a + b · size + c · longest + d · size · longest,   none of a, b, c, d below 0

1. Before the first batch the model says what the calibration measured. If all its lengths are equal, c and
   d stay 0: nothing would tell them from a and b.
2. Each batch that ran moves the terms towards what fits it: least squares of the relative error, older
   batches counting less and less (`MEMORY`), held by the calibration as by a prior (ridge).
3. What is forgotten of the batches is given back to the prior: a size that never runs keeps its calibration.
4. The prior takes for likely that all is slower or faster by one factor (`SCALE_DOUBT`), and for unlikely
   that sizes and lengths matter otherwise than measured (`SHAPE_DOUBT`).
5. A batch far off what its like took (`OUTLIER`) teaches nothing, unless several in a row are: then the
   device has changed, and what was learnt since the calibration is dropped.

Nothing here reads a clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

#: What the past counts for after each batch. 0.98 remembers some fifty batches: enough to average jitter of a
#: few per cent, few enough to follow a device that heats up.
MEMORY = 0.98

#: How far one batch is trusted, relative to its duration: the jitter of an engine call.
JITTER = 0.05

#: How far the calibration is trusted, relative to a typical duration: in each term by itself, and in all
#: together (another process on the device, a lower clock).
SHAPE_DOUBT, SCALE_DOUBT = 0.1, 0.5

#: A batch is an outlier this many median absolute deviations from the median of the latest ratios; the
#: deviation counts for at least `JITTER`, so that an engine without jitter may still change a little.
OUTLIER = 5.0

#: As many outliers in a row are no outliers but a change.
CHANGE = 4

#: Ratios of measured to predicted that are remembered, for the median and the 95th percentile.
REMEMBERED = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One batch that ran."""

    size: int
    """Items in it, at least one."""
    longest: float = 0.0
    """Seconds of audio of its longest item."""
    seconds: float
    """How long the engine took, above 0."""


class LatencyModel:
    """What is known of the durations of one key on one device. Not thread-safe."""

    def __init__(self, calibration: Sequence[Ran]) -> None:
        """Raises `ValueError` for a calibration from which the terms cannot be told apart."""
        self._uses = slice(4 if len({ran.longest for ran in calibration}) > 1 else 2)
        shapes = np.array([_shape(ran.size, ran.longest)[self._uses] for ran in calibration])
        if not len(shapes) or np.linalg.matrix_rank(shapes) < shapes.shape[1]:
            raise ValueError(
                f"calibration has {len(shapes)} batches: expected two sizes or more, at each length"
            )
        seconds = np.array([ran.seconds for ran in calibration])
        relative = shapes / seconds[:, None]
        measured = _solve(relative.T @ relative, relative.sum(axis=0))
        self._prior = _prior_precision(measured, shapes.mean(axis=0), float(seconds.mean()))
        self._prior_target = self._prior @ measured
        self._ratios: deque[float] = deque(maxlen=REMEMBERED)
        self._outliers = 0
        #: Measured over predicted, of the latest batches: their 95th percentile.
        self.late_ratio = 1.0
        self._use(self._prior, self._prior_target)

    @property
    def knows_lengths(self) -> bool:
        """Whether the calibration had several lengths (rule 1)."""
        return self._uses.stop == 4

    def seconds(self, size: int, longest: float = 0.0) -> float:
        """How long a batch of `size` items will take whose longest has `longest` seconds of audio."""
        return sum(term * value for term, value in zip(self.terms, _shape(size, longest), strict=False))

    def late_seconds(self, size: int, longest: float = 0.0) -> float:
        """What one batch in twenty exceeds: `seconds` times the 95th percentile of measured to predicted."""
        return self.late_ratio * self.seconds(size, longest)

    def ran(self, batch: Ran) -> None:
        """Learn from a batch that ran."""
        predicted = self.seconds(batch.size, batch.longest)
        ratio = batch.seconds / predicted
        self._outliers = self._outliers + 1 if self._is_outlier(ratio) else 0
        self._ratios.append(ratio)
        self.late_ratio = float(np.quantile(self._ratios, 0.95))
        if self._outliers == CHANGE:
            self._use(self._prior, self._prior_target)
        if self._outliers == 0 or self._outliers >= CHANGE:
            self._learn(np.array(_shape(batch.size, batch.longest)[self._uses]) / predicted, ratio)

    def _is_outlier(self, ratio: float) -> bool:
        middle = median(self._ratios) if self._ratios else 1.0
        deviation = median(abs(one - middle) for one in self._ratios) if self._ratios else 0.0
        return abs(ratio - middle) > OUTLIER * max(deviation, JITTER)

    def _learn(self, shape: Vector, ratio: float) -> None:
        """One batch more, of a shape for which 1 was predicted: the past fades, the prior does not."""
        self._use(
            MEMORY * self._precision + (1 - MEMORY) * self._prior + np.outer(shape, shape) / JITTER**2,
            MEMORY * self._target + (1 - MEMORY) * self._prior_target + shape * ratio / JITTER**2,
        )

    def _use(self, precision: Matrix, target: Vector) -> None:
        self._precision, self._target = precision, target
        self.terms: tuple[float, ...] = tuple(_solve(precision, target).tolist())


def _shape(size: int, longest: float) -> tuple[float, float, float, float]:
    return 1.0, float(size), longest, size * longest


def _prior_precision(terms: Vector, typical: Vector, seconds: float) -> Matrix:
    """How surely the terms are those measured: `seconds` is what a batch of the `typical` shape took."""
    by_itself = np.diag((SHAPE_DOUBT * seconds / typical) ** 2)
    return np.asarray(np.linalg.inv(by_itself + SCALE_DOUBT**2 * np.outer(terms, terms)))


def _solve(precision: Matrix, target: Vector) -> Vector:
    """The terms of least squared error; one that would be negative is 0, and the others are solved again."""
    terms, free = np.zeros(len(target)), np.arange(len(target))
    while len(free):
        solved = np.linalg.solve(precision[np.ix_(free, free)], target[free])
        if solved.min() >= 0:
            terms[free] = solved
            break
        free = np.delete(free, solved.argmin())
    return terms
