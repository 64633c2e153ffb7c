"""One test per rule of `batching.latency`, and the five scenarios in which it must stay right."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batching.latency import CHANGE, LatencyModel, Ran
from bench.simulation.estimation import SCENARIOS, compare

#: The calibration of a worker: some sizes, and where lengths differ, some lengths.
SIZES, LENGTHS = (1, 2, 4, 8, 16), (2.0, 10.0, 30.0)

#: The most that a prediction may be off on average.
TARGET = 0.05


def by_size(size: int) -> float:
    """An engine for which lengths do not matter."""
    return 0.084 + 0.018 * size


def by_length(size: int, longest: float) -> float:
    """An engine that pads to the longest."""
    return 0.04 + 0.008 * size + 0.011 * longest + 0.0002 * size * longest


def of_sizes() -> LatencyModel:
    return LatencyModel([Ran(size=size, seconds=by_size(size)) for size in SIZES])


def of_lengths() -> LatencyModel:
    return LatencyModel(
        [
            Ran(size=size, longest=longest, seconds=by_length(size, longest))
            for size in SIZES
            for longest in LENGTHS
        ]
    )


def test_calibration_is_what_is_predicted_first() -> None:
    """Before any batch the model says what was measured, and between the sizes too (rule 1)."""
    model = of_sizes()
    assert [model.seconds(size) for size in (1, 5, 16)] == pytest.approx(
        [by_size(1), by_size(5), by_size(16)]
    )


def test_lengths_count_where_they_were_calibrated() -> None:
    """With lengths in the calibration all four terms are told apart (rule 1)."""
    assert of_lengths().terms == pytest.approx((0.04, 0.008, 0.011, 0.0002))


def test_constant_lengths_leave_two_terms() -> None:
    """With one length only, size and call are all there is, whatever length is asked for (rule 1)."""
    model = LatencyModel([Ran(size=size, longest=30.0, seconds=by_size(size)) for size in SIZES])
    assert model.terms == pytest.approx((0.084, 0.018))
    assert model.seconds(4, longest=3.0) == pytest.approx(by_size(4))


@pytest.mark.parametrize("calibration", [[], [(4, 0.0)] * 3, [(1, 2.0), (2, 30.0)]])
def test_calibration_that_tells_nothing_apart_is_refused(calibration: list[tuple[int, float]]) -> None:
    """Terms that no batch tells apart would be guesses (rule 1)."""
    with pytest.raises(ValueError, match=f"calibration has {len(calibration)} batches"):
        LatencyModel([Ran(size=size, longest=longest, seconds=0.1) for size, longest in calibration])


def test_batches_move_the_prediction() -> None:
    """An engine whose items cost a quarter more than calibrated is learnt within its memory (rule 2)."""
    model = of_sizes()
    for number in range(150):
        size = number % 16 + 1
        model.ran(Ran(size=size, seconds=0.084 + 0.0225 * size))
    assert model.terms == pytest.approx((0.084, 0.0225), rel=0.02)


def test_size_that_never_runs_keeps_its_calibration() -> None:
    """A thousand batches of one size say nothing of the others (rule 3)."""
    model = of_sizes()
    for _ in range(1000):
        model.ran(Ran(size=1, seconds=by_size(1)))
    assert model.seconds(16) == pytest.approx(by_size(16), rel=0.001)


def test_one_slower_size_means_that_all_are_slower() -> None:
    """A fifth more for single items is taken for a slower device, so for a fifth more for all (rule 4)."""
    model = of_sizes()
    for _ in range(50):
        model.ran(Ran(size=1, seconds=1.2 * by_size(1)))
    assert model.seconds(16) == pytest.approx(1.2 * by_size(16), rel=0.02)


def test_outlier_teaches_nothing() -> None:
    """One batch that takes ten times as long leaves the prediction as it was (rule 5)."""
    model = of_sizes()
    model.ran(Ran(size=4, seconds=10 * by_size(4)))
    assert model.seconds(4) == pytest.approx(by_size(4))


def test_outliers_in_a_row_are_a_change() -> None:
    """After years at one speed, the batch that makes it certain brings the new speed (rule 5)."""
    model = of_sizes()
    for number in range(500):
        size = number % 16 + 1
        model.ran(Ran(size=size, seconds=by_size(size)))
    for size in range(1, CHANGE):
        model.ran(Ran(size=size, seconds=2 * by_size(size)))
    assert model.seconds(8) == pytest.approx(by_size(8))
    model.ran(Ran(size=5, seconds=2 * by_size(5)))
    assert model.seconds(8) == pytest.approx(2 * by_size(8), rel=0.03)


def test_one_batch_in_twenty_takes_longer_than_the_late_duration() -> None:
    """`late_seconds` is above what 95 of 100 batches take, jitter and all."""
    model, draw = of_sizes(), np.random.default_rng(1)
    for _ in range(300):
        model.ran(Ran(size=4, seconds=by_size(4) * float(draw.lognormal(0.0, 0.1))))
    ninety_fifth = math.exp(0.1 * 1.645)
    assert model.late_seconds(4) == pytest.approx(by_size(4) * ninety_fifth, rel=0.05)


def test_nothing_is_late_before_the_first_batch() -> None:
    """Without batches the late duration is the predicted one."""
    model = of_sizes()
    assert model.late_seconds(4) == model.seconds(4)


@pytest.mark.parametrize("name", SCENARIOS)
def test_error_stays_small_in_every_scenario(name: str) -> None:
    """On average over the sizes 1 to 16, and worst of all where least squares by themselves go astray."""
    errors = compare(SCENARIOS[name], seeds=range(5))
    assert errors.ours <= TARGET
    assert errors.ours <= errors.bentoml + 0.001


@pytest.mark.parametrize("name", ["all of size 1", "all of size 16"])
def test_plain_least_squares_go_astray_on_one_size(name: str) -> None:
    """What the prior is for: batches of one size tell nothing of the others."""
    assert compare(SCENARIOS[name], seeds=range(5)).bentoml > 4 * TARGET


ran = st.builds(
    Ran,
    size=st.integers(1, 64),
    longest=st.floats(0.5, 30),
    seconds=st.floats(0.001, 100),
)


@given(batches=st.lists(ran, max_size=40))
def test_no_batches_make_a_prediction_fall_with_size(batches: list[Ran]) -> None:
    """Whatever ran: no term is below 0, so a larger or longer batch is never predicted to be faster."""
    model = of_lengths()
    for batch in batches:
        model.ran(batch)
    assert min(model.terms) >= 0
    assert 0 < model.seconds(1, 1.0) <= model.seconds(2, 1.0) <= model.seconds(2, 30.0) < math.inf
