"""How learning proceeds."""

import pytest

from training.schedule import WARM_UP_STEPS, ctc_weight, learning_rate


def test_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    """Warm-up, peak, cosine: small first, the peak after the warm-up, half at half time, nothing last."""
    assert learning_rate(1.0, 0, 0.0) == pytest.approx(1 / WARM_UP_STEPS)
    assert learning_rate(1.0, WARM_UP_STEPS, 0.0) == 1.0
    assert learning_rate(1.0, 3000, 0.5) == pytest.approx(0.5)
    assert learning_rate(1.0, 3000, 1.0) == pytest.approx(0.0)


def test_a_short_run_warms_up_by_time() -> None:
    """A run of few steps is at its full rate after a tenth of its time."""
    assert learning_rate(1.0, 10, 0.1) == pytest.approx(learning_rate(1.0, WARM_UP_STEPS, 0.1))


def test_a_step_after_the_last_minute_learns_nothing() -> None:
    """The rate never rises again once the time is over."""
    assert learning_rate(1.0, 3000, 1.5) == pytest.approx(0.0)


def test_ctc_leads_at_first_and_supports_later() -> None:
    """The weight falls from 0.5 to 0.2 at half time."""
    assert [ctc_weight(progress) for progress in (0.0, 0.49, 0.5, 1.0)] == [0.5, 0.5, 0.2, 0.2]
