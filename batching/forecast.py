"""What is known of the durations of every key: one latency model each, from one calibration of the device.

1. With a calibration each key starts from it: other options are likely to be slower or faster by one factor,
   which the model learns from the first batches.
2. Without one, the first batches of a key are its calibration, once they tell its terms apart; until then
   nothing is predicted, and the rules that need a prediction do not apply.
3. Where all of them were of one length, they are gone through again when other lengths come: nothing would be
   known of these for ever.
4. Under a load that fills every batch sizes are never told apart. Then it `asks` for a few of another size.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from batching.duration import Duration
from batching.latency import LatencyModel, Ran

#: Batches from which a model is made where there is no calibration: the terms are then known to a few per
#: cent with jitter of as much. The very first is left out: it warms the device up.
FIRST_BATCHES = 16

#: Batches of which the last are kept while they do not tell the terms apart: an hour of batches of one size
#: must not make a model of one size.
MOST_FIRST_BATCHES = 64

#: Batches of another size that are asked for among those: two tell all terms apart if lengths differ.
MOST_PROBES = 4

#: How much longer one must be than another for their durations to say what length costs: less is jitter.
LENGTHS_VARY = 1.5

#: Keys whose models are kept; the one that ran longest ago is forgotten first. Options make keys, and a
#: caller may send any number of them.
MOST_KEYS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a batch of one key takes."""

    duration: Duration
    late: Duration
    """What one batch in twenty exceeds."""


class Forecast:
    """The latency models of one device, by key. Not thread-safe."""

    def __init__(self, calibration: Sequence[Ran] = ()) -> None:
        """Raises `ValueError` for a calibration from which the terms cannot be told apart."""
        self._calibration = calibration
        self._durations: OrderedDict[Hashable, _Durations] = OrderedDict()
        self._unseen = _Durations(calibration)

    def known(self, key: Hashable) -> Known | None:
        """What a batch of this key takes; None if nothing is known yet."""
        return self._durations.get(key, self._unseen).known

    def asks(self, key: Hashable, size: int) -> bool:
        """Whether a batch of this key would teach more if it had any other than this size (rule 4)."""
        return key in self._durations and self._durations[key].asks(size)

    def ran(self, key: Hashable, batch: Ran) -> None:
        """Learn from a batch of this key that ran."""
        if key not in self._durations:
            self._durations[key] = _Durations(self._calibration)
        self._durations.move_to_end(key)
        self._durations[key].ran(batch)
        if len(self._durations) > MOST_KEYS:
            self._durations.popitem(last=False)


class _Durations:
    """What is known of one key: a model, or the batches that it will be made of."""

    def __init__(self, calibration: Sequence[Ran]) -> None:
        self.known: Known | None = None
        self._knows_all = False
        self._model: LatencyModel | None = None
        self._first: deque[Ran] = deque(maxlen=MOST_FIRST_BATCHES)
        self._is_warm = False
        if calibration:
            self._use(LatencyModel(calibration))

    def asks(self, size: int) -> bool:
        if self._knows_all or len(self._first) < FIRST_BATCHES:
            return False
        return sum(ran.size != size for ran in self._first) < MOST_PROBES

    def ran(self, batch: Ran) -> None:
        if self._model is not None:
            self._model.ran(batch)
            self._use(self._model)
        if self._is_warm and not (self._model is not None and self._model.knows_lengths):
            self._first.append(batch)
            self._calibrate()
        self._is_warm = True

    def _calibrate(self) -> None:
        lengths = [ran.longest for ran in self._first]
        vary = max(lengths) > LENGTHS_VARY * min(lengths)
        self._knows_all = self._model is not None and not vary
        if len(self._first) < FIRST_BATCHES or self._knows_all:
            return
        with suppress(ValueError):  # one size only so far: nothing to tell the terms apart
            self._use(LatencyModel(self._first))
            self._knows_all = True

    def _use(self, model: LatencyModel) -> None:
        self._model = model
        late = Duration(*[model.late_ratio * term for term in model.terms])
        self.known = Known(duration=Duration(*model.terms), late=late)
