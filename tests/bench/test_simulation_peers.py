"""When each peer dispatches: the one thing by which it differs from the others."""

from dataclasses import replace

import numpy as np
import pytest

from batching.item import Item
from bench.simulation.arrivals import as_items
from bench.simulation.cost import InWaves, Linear
from bench.simulation.peers.bentoml import REFIT_EVERY, BentoML, least_squares
from bench.simulation.peers.bound_early import ClosedByTimer, OneAhead, SortedByLength, ray_serve
from bench.simulation.peers.deadlines import Clipper, Nexus, TritonReject
from bench.simulation.peers.priorities import StrictTriton
from bench.simulation.peers.staged import StagePipeline
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


def test_celery_batches_flush_at_the_ticks_of_a_timer() -> None:
    """While every tick finds something, an item waits for what is left of the interval."""
    assert ends(ClosedByTimer(4, 0.1), 1.0, 1.13) == [2.1, 3.1]
    assert run(ClosedByTimer(4, 0.1), 1.0, 1.13, 1.18, 1.21).sizes == [1, 2, 1]


def test_celery_batches_stop_their_timer() -> None:
    """A tick that finds nothing is the last: the next item waits for a whole interval."""
    assert ends(ClosedByTimer(4, 0.1), 1.0, 5.03) == [2.1, 6.13]
    assert run(ClosedByTimer(2, 0.1), 1.0, 1.0, 1.13, 1.22).sizes == [2, 2]


def test_celery_batches_flush_when_full() -> None:
    """`flush_every` items do not wait for the timer."""
    assert ends(ClosedByTimer(2, 0.1), 1.0, 1.0) == [2.0, 2.0]


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


def lengths_of(policy: Policy, lengths: list[float]) -> list[list[float]]:
    """What runs together of items that wait when the engine is free."""
    for item in as_items(np.zeros(len(lengths)), np.array(lengths)):
        policy.add(item)
    batches = iter(lambda: [item.cost for item in policy.take(1.0)], [])
    return list(batches)


def test_infinity_sorts_its_backlog_by_length() -> None:
    """More than one batch is sorted, then cut; a single batch is not."""
    assert lengths_of(SortedByLength(2, 0), [9.0, 1.0, 8.0, 2.0]) == [[1.0, 2.0], [8.0, 9.0]]
    assert lengths_of(SortedByLength(2, 0), [9.0, 1.0]) == [[9.0, 1.0]]


def test_infinity_sorts_eight_batches_at_once() -> None:
    """What came after the first eight batches' worth has to wait for the next sort."""
    assert lengths_of(SortedByLength(1, 0), [9.0] * 8 + [1.0]) == [[9.0]] * 8 + [[1.0]]


def test_infinity_binds_ahead() -> None:
    """While nothing is bound each item becomes a batch by itself, whatever comes after it."""
    assert lengths_of(SortedByLength(4, 2), [3.0, 2.0, 1.0, 4.0]) == [[3.0], [2.0], [1.0, 4.0]]


def hurried(*pairs: tuple[float, float]) -> list[Item]:
    """Items by when they come and by when they must have ended."""
    coming = as_items(np.array([at for at, _ in pairs]))
    return [replace(item, deadline_at=by) for item, (_, by) in zip(coming, pairs, strict=True)]


def test_strict_levels_fill_the_batch() -> None:
    """The urgent are first in the batch, and others fill it up."""
    policy = StrictTriton(2)
    for item, rank in zip(as_items(np.array([0.0, 0.1, 0.2])), (1, 1, 0), strict=True):
        policy.add(replace(item, rank=rank))
    assert [item.id for item in policy.take(1.0)] == [2, 0]
    assert [item.id for item in policy.take(1.0)] == [1]


def test_triton_rejects_what_waited_too_long() -> None:
    """The time-out ends a wait only: what starts in time runs, though it ends too late."""
    policy = TritonReject(1)
    ran = simulate(policy, hurried((0.0, 0.5), (0.1, 1.5), (0.2, 1.7)), SECOND, shed=policy.shed)
    assert ran.ended_at[:2].tolist() == [1.0, 2.0]
    assert [item.id for item in policy.shed] == [2]


def test_nexus_drops_until_a_full_batch_is_in_time() -> None:
    """The first of those that wait would need a smaller batch than the rest allow, so it is dropped."""
    cost = Linear(base=0.0, each=1.0)
    policy = Nexus(3, cost)
    for item in hurried((0.0, 2.5), (0.0, 3.5), (0.0, 9.0), (0.0, 9.0)):
        policy.add(item)
    assert [item.id for item in policy.take(0.0)] == [1, 2, 3]
    assert [item.id for item in policy.shed] == [0]


def test_clipper_learns_how_large_batches_may_be() -> None:
    """Full batches within the objective grow by one; one beyond it shrinks the next."""
    policy = Clipper(8, objective=2.5)
    ran = simulate(policy, as_items(np.zeros(10)), Linear(base=0.0, each=1.0))
    assert ran.sizes == [1, 2, 3, 2, 2]


def test_bentoml_sheds_the_oldest_for_the_others() -> None:
    """While another waits, the oldest goes as soon as it would miss the latency by its estimate."""
    policy = BentoML(4, max_latency=1.05)
    ran = simulate(policy, as_items(np.array([0.0, 0.1, 0.2])), SECOND, shed=policy.shed)
    assert [item.id for item in policy.shed] == [1]
    assert ran.ended_at[[0, 2]].tolist() == [1.0, 2.0]


def test_stages_bind_before_they_decode() -> None:
    """The batch that is decoded while another runs holds only what was there when that one started."""
    policy = StagePipeline(4, InWaves(each=0.3, threads=1))
    assert ends(policy, 0.0, 0.1, 0.2, 0.4) == [1.3, 2.3, 2.3, 3.3]
