"""When each peer dispatches: the one thing by which it differs from the others."""

import numpy as np
import pytest

from bench.simulation.arrivals import as_items
from bench.simulation.cost import Linear
from bench.simulation.peers.bentoml import REFIT_EVERY, BentoML, least_squares
from bench.simulation.peers.bound_early import OneAhead, celery_batches, ray_serve
from bench.simulation.peers.waiting import Triton, WindowFromDequeue, WindowFromLoop
from bench.simulation.policy import Policy
from bench.simulation.simulator import Run, simulate

#: An engine on which every batch takes a second.
SECOND = Linear(base=1.0, each=0.0)


def run(policy: Policy, *times: float) -> Run:
    return simulate(policy, as_items(np.array(times)), SECOND)


def ends(policy: Policy, *times: float) -> list[float]:
    return [round(float(end), 6) for end in run(policy, *times).ended_at]


def test_triton_waits_on_an_idle_engine() -> None:
    """A lone item waits for the delay though nothing runs."""
    assert ends(Triton(4, 0.1), 5.0) == [6.1]


def test_triton_counts_the_delay_from_enqueued() -> None:
    """What waited behind a batch for longer than the delay starts at once after it."""
    assert ends(Triton(1, 0.1), 5.0, 5.2) == [6.0, 7.0]
    assert ends(Triton(2, 0.1), 5.0, 5.0, 5.2) == [6.0, 6.0, 7.0]


def test_triton_does_not_wait_when_full() -> None:
    """A full batch starts without its delay."""
    assert ends(Triton(2, 0.1), 5.0, 5.05) == [6.05, 6.05]


def test_triton_without_delay_takes_what_is_there() -> None:
    """Alone on an idle engine, together behind a busy one."""
    assert ends(Triton(4, 0.0), 5.0, 5.1, 5.2) == [6.0, 7.0, 7.0]


def test_mosec_counts_the_window_from_dequeue() -> None:
    """What waited behind a batch waits for the whole window again."""
    assert ends(WindowFromDequeue(2, 0.1), 5.0, 5.0, 5.2) == [6.0, 6.0, 7.1]


def test_litserve_has_windows_without_items() -> None:
    """On an idle engine a window is open already: an item waits for what is left of it."""
    assert ends(WindowFromLoop(4, 0.1), 5.03) == [6.1]


def test_litserve_opens_a_window_when_the_engine_is_free() -> None:
    """What waits behind a batch waits for one window after it."""
    assert ends(WindowFromLoop(2, 0.1), 5.0, 5.0, 5.2) == [6.0, 6.0, 7.1]


def test_ray_binds_while_the_engine_runs() -> None:
    """Three that come a window apart behind a busy engine run one by one."""
    assert ends(ray_serve(4, 0.1), 0.0, 0.2, 0.4, 0.6) == [1.1, 2.1, 3.1, 4.1]


def test_ray_fills_a_batch_for_its_window() -> None:
    """Those that come within the window of the first run together."""
    assert run(ray_serve(4, 0.1), 0.0, 0.05, 0.2).sizes == [2, 1]


def test_celery_batches_flush_at_ticks_of_a_free_timer() -> None:
    """The timer runs from the first item ever, so a later one waits for what is left of the interval."""
    assert ends(celery_batches(4, 0.1), 1.0, 5.03) == [2.1, 6.1]


def test_celery_batches_flush_when_full() -> None:
    """`flush_every` items do not wait for the timer."""
    assert ends(celery_batches(2, 0.1), 1.0, 1.0) == [2.0, 2.0]


def test_tei_binds_the_first_that_comes_by_itself() -> None:
    """Behind a busy engine the next batch is the first item alone, and only then the rest together."""
    assert ends(OneAhead(4), 0.0, 0.2, 0.3, 0.4) == [1.0, 2.0, 3.0, 3.0]


def test_bentoml_holds_for_as_long_as_batches_waited() -> None:
    """Once its batches have waited, a lone item on an idle engine is held too."""
    busy = [0.25 * number for number in range(60)]
    idle = busy[-1] + REFIT_EVERY
    held = run(BentoML(4), *busy, idle, idle + 20.0).latencies[-1]
    assert ends(BentoML(4), idle) == [idle + 1.0]
    assert 1.05 < held < 2.0


def test_bentoml_fit_splits_a_single_size_evenly() -> None:
    """With batches of one size only, least squares of least norm put half on the call, half on the item."""
    assert least_squares([1, 1, 1], [0.1, 0.1, 0.1]) == pytest.approx((0.05, 0.05))
