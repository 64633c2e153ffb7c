"""How well the latency model predicts, beside the least squares of BentoML on the same batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from batching.latency import LatencyModel, Ran
from bench.simulation.cost import Linear
from bench.simulation.peers.bentoml import REMEMBERED, least_squares

#: The sizes of the calibration at the start of a worker, each run twice.
CALIBRATED = (1, 2, 4, 8, 16) * 2
LARGEST = 16

#: Batches that run before the prediction is looked at: the memory of either estimator, twice over.
BATCHES = 100

#: The jitter of an engine call, relative; and in the noisy scenario, where one batch in twenty, moreover,
#: takes three times as long.
JITTER, NOISE = 0.02, 0.15
HICCUP, ONE_IN = 3.0, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The batches that an estimator sees, after a calibration on the engine as it was."""

    sizes: Callable[[np.random.Generator], int]
    drift: float = 1.0
    """What every duration is multiplied by, from the first batch after the calibration."""
    noise: float = JITTER
    hiccups: bool = False


def _any_size(draw: np.random.Generator) -> int:
    return int(draw.integers(1, LARGEST + 1))


#: The five of target 4.
SCENARIOS = {
    "varying sizes": Scenario(sizes=_any_size),
    "all of size 1": Scenario(sizes=lambda _: 1),
    "all of size 16": Scenario(sizes=lambda _: LARGEST),
    "drift ×1.5": Scenario(sizes=_any_size, drift=1.5),
    "noise 15 %": Scenario(sizes=_any_size, noise=NOISE, hiccups=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Mean absolute error of the predictions for the sizes 1 to 16, relative to the true duration."""

    ours: float
    bentoml: float


def compare(scenario: Scenario, seeds: Sequence[int]) -> Errors:
    """Both estimators on the same batches; the mean over `seeds`."""
    pairs = np.array([_errors(scenario, seed) for seed in seeds])
    ours, bentoml = pairs.mean(axis=0).tolist()
    return Errors(ours=ours, bentoml=bentoml)


def _errors(scenario: Scenario, seed: int) -> tuple[float, float]:
    draw = np.random.default_rng(seed)
    model = LatencyModel([_ran(size, Scenario(sizes=_any_size), draw) for size in CALIBRATED])
    batches = [_ran(scenario.sizes(draw), scenario, draw) for _ in range(BATCHES)]
    for batch in batches:
        model.ran(batch)
    latest = batches[-REMEMBERED:]
    each, base = least_squares([batch.size for batch in latest], [batch.seconds for batch in latest])
    return _error(model.seconds, scenario), _error(lambda size: base + each * size, scenario)


def _ran(size: int, scenario: Scenario, draw: np.random.Generator) -> Ran:
    """A batch with the drift, the jitter and the hiccups of the scenario."""
    jitter = float(draw.lognormal(0.0, scenario.noise))
    hiccup = HICCUP if scenario.hiccups and draw.integers(ONE_IN) == 0 else 1.0
    return Ran(size=size, seconds=scenario.drift * Linear().of_size(size) * jitter * hiccup)


def _error(predict: Callable[[int], float], scenario: Scenario) -> float:
    sizes = range(1, LARGEST + 1)
    true = np.array([scenario.drift * Linear().of_size(size) for size in sizes])
    predicted = np.array([predict(size) for size in sizes])
    return float(np.mean(np.abs(predicted / true - 1)))
