"""One test per rule of `batching.forecast`."""

import pytest

from batching.forecast import FIRST_BATCHES, MOST_KEYS, MOST_PROBES, Forecast
from batching.latency import Ran


def ran(size: int, factor: float = 1.0) -> Ran:
    return Ran(size=size, longest=1.0, seconds=factor * (0.08 + 0.02 * size))


CALIBRATION = [ran(1), ran(4), ran(16)]


def predicted(forecast: Forecast, key: str, size: float = 8.0) -> float:
    known = forecast.known(key)
    assert known is not None
    return known.duration.seconds(size, 1.0)


def test_every_key_starts_from_the_calibration() -> None:
    """A key of which nothing ran is predicted as the device was measured (rule 1)."""
    assert predicted(Forecast(CALIBRATION), "new") == pytest.approx(0.24)


def test_keys_are_learnt_apart() -> None:
    """A key that takes twice as long says nothing of another (rule 1)."""
    forecast = Forecast(CALIBRATION)
    for number in range(60):
        forecast.ran("slow", ran(number % 8 + 1, factor=2.0))
    assert predicted(forecast, "slow") == pytest.approx(0.48, rel=0.02)
    assert predicted(forecast, "other") == pytest.approx(0.24)


def test_first_batches_are_the_calibration_if_there_is_none() -> None:
    """Nothing is predicted before there are enough; the first of all, a warm-up, does not count (rule 2)."""
    forecast = Forecast()
    forecast.ran("k", ran(1, factor=50.0))
    for number in range(FIRST_BATCHES):
        assert forecast.known("k") is None
        forecast.ran("k", ran(number % 8 + 1))
    assert predicted(forecast, "k") == pytest.approx(0.24, rel=0.01)


def test_batches_of_one_size_make_no_model() -> None:
    """As long as all are alike nothing is predicted; two sizes tell call and items apart (rule 2)."""
    forecast = Forecast()
    for _ in range(100):
        forecast.ran("k", ran(4))
    assert forecast.known("k") is None
    forecast.ran("k", ran(8))
    assert predicted(forecast, "k", size=4.0) == pytest.approx(0.16, rel=0.01)


def test_lengths_are_learnt_when_they_begin_to_vary() -> None:
    """However many batches of one length ran before; what was known of that one stays known (rule 3)."""
    forecast, by_length = Forecast(), [1.0, 4.0, 16.0]
    for number in range(100):
        forecast.ran("k", ran(number % 8 + 1))
    assert predicted(forecast, "k") == pytest.approx(0.24, rel=0.01)
    for number in range(60):
        size, longest = number % 8 + 1, by_length[number % 3]
        forecast.ran("k", Ran(size=size, longest=longest, seconds=0.08 + 0.02 * size + 0.1 * longest))
    known = forecast.known("k")
    assert known is not None
    assert known.duration.seconds(8.0, 16.0) == pytest.approx(1.84, rel=0.05)
    assert known.duration.seconds(8.0, 1.0) == pytest.approx(0.34, rel=0.05)


def test_jitter_is_not_taken_for_lengths() -> None:
    """Lengths that hardly differ leave the model as it was (rule 3)."""
    forecast = Forecast()
    for number in range(100):
        forecast.ran("k", ran(number % 8 + 1))
    for number in range(60):
        size, is_longer = number % 8 + 1, number % 3 == 0
        slower = 1.05 if is_longer else 1.0
        forecast.ran(
            "k", Ran(size=size, longest=1.0 + 0.1 * is_longer, seconds=slower * (0.08 + 0.02 * size))
        )
    known = forecast.known("k")
    assert known is not None
    assert known.duration.longest == known.duration.padded == 0.0


def test_one_size_asks_for_another() -> None:
    """As soon as enough ran to know that they tell nothing, and until another size has told (rule 4)."""
    forecast = Forecast()
    asked = []
    for _ in range(FIRST_BATCHES + 2):
        forecast.ran("k", ran(8))
        asked.append(forecast.asks("k", 8))
    assert asked == [False] * FIRST_BATCHES + [True] * 2
    forecast.ran("k", ran(4))
    assert forecast.known("k") is not None
    assert not forecast.asks("k", 8)
    assert not forecast.asks("never ran", 8)


def test_asking_comes_to_an_end() -> None:
    """Where other sizes tell nothing either, a few are enough: here all of them are as long (rule 4)."""
    forecast = Forecast()
    for number in range(2 * FIRST_BATCHES):
        forecast.ran("k", Ran(size=8, longest=1.0 + number % 2, seconds=0.2))
    probes = 0
    while forecast.asks("k", 8):
        probes += 1
        forecast.ran("k", Ran(size=4, longest=1.0, seconds=0.1))
    assert probes == MOST_PROBES


def test_a_size_that_has_not_run_needs_no_other() -> None:
    """It tells by itself what sizes cost (rule 4)."""
    forecast = Forecast()
    for _ in range(2 * FIRST_BATCHES):
        forecast.ran("k", ran(1))
    assert (forecast.asks("k", 8), forecast.asks("k", 1)) == (False, True)


def test_late_duration_is_longer_where_batches_vary() -> None:
    """What one in twenty exceeds follows the spread of what was measured."""
    forecast = Forecast(CALIBRATION)
    for number in range(100):
        forecast.ran("k", ran(4, factor=1.1 if number % 5 == 0 else 1.0))
    known = forecast.known("k")
    assert known is not None
    assert known.late.seconds(4.0, 1.0) > 1.03 * known.duration.seconds(4.0, 1.0)


def test_number_of_keys_is_bounded() -> None:
    """The key that ran longest ago starts anew from the calibration."""
    forecast = Forecast(CALIBRATION)
    for number in range(MOST_KEYS + 1):
        forecast.ran(f"{number}", ran(4, factor=1.2))
    assert predicted(forecast, "0") == pytest.approx(0.24)
    assert predicted(forecast, "1") > 0.25
