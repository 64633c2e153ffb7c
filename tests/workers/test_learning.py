"""What a worker knows after each batch, and what it tells Prometheus of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import generate_latest

from batching.batch import Batch, Reason
from batching.item import Item
from protocol.options import Options
from protocol.request import Encoding, Payload, Priority, Request
from workers.idleness import Gap
from workers.learning import FIRST_SECONDS, Learning
from workers.metrics import Metrics, padding
from workers.run import Run, Work
from workers.settings_blocks import Batching
from workers.waiting import Waiting

#: Seconds of the engine that these tests speak of: of a call and of each request in it.
CALL, EACH = 0.1, 0.02


def work(name: str, seconds: float, deadline_at: float | None = None) -> Work:
    payload = Payload(encoding=Encoding.PCM, length=round(seconds * 16_000), key="segue:audio:x")
    request = Request(
        request_id=name, payload=payload, priority=Priority.BULK, deadline_at=deadline_at, tenant="secret"
    )
    item = Item(id=name, key="key", enqueued_at=10.0, cost=seconds)
    return Work(message=SimpleNamespace(id=name), request=request, item=item, attempts=1)


def run(*works: Work, predicted: float | None = None, was_held: bool = False) -> Run:
    batch = Batch(
        items=tuple(one.item for one in works), reason=Reason.FULL, closed_at=12.0, predicted=predicted
    )
    return Run(number=1, batch=batch, works=works, was_held=was_held)


def report(size: int, *, engine: float = 1.0, memory: int | None = None, **fields: Any) -> dict[str, Any]:
    outcomes: list[dict[str, Any]] = [{"transcript": {}} for _ in range(size)]
    return {
        "prepared": 0.5,
        "engine": engine,
        "engine_calls": 1,
        "rows": size,
        "out_of_memory_at": memory,
        "memory": None,
        "ahead": 0,
        "outcomes": outcomes,
        **fields,
    }


def learning(**batching: Any) -> tuple[Learning, Waiting]:
    settings = Batching(**batching)
    waiting = Waiting(settings)
    return Learning(settings, waiting, Metrics()), waiting


def told(metrics: Metrics) -> dict[str, float]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_the_engine_is_predicted_once_it_is_known() -> None:
    """After batches of several sizes the next is predicted well; before that nothing is said."""
    knows, waiting = learning()
    sizes = [1 + number % 8 for number in range(40)]
    assert waiting.predicted(run(work("a", 2.0)).batch) is None
    for size in sizes:
        ran = run(*(work(f"{number}", 2.0) for number in range(size)))
        knows.study(ran, report(size, engine=CALL + EACH * size), began_at=20.0, now=21.0)
    five = run(*(work(f"{number}", 2.0) for number in range(5))).batch
    assert waiting.predicted(five) == pytest.approx(CALL + EACH * 5, rel=0.02)
    terms = {name: value for name, value in told(knows.metrics).items() if "latency_model" in name}
    assert terms['segue_latency_model_seconds{term="call"}'] == pytest.approx(CALL, rel=0.05)
    assert terms['segue_latency_model_seconds{term="request"}'] == pytest.approx(EACH, rel=0.05)


def test_a_fixed_rule_predicts_nothing() -> None:
    """Without `dynamic_batching` batches are made as if nothing was known."""
    knows, waiting = learning(dynamic_batching=False)
    for size in [1, 2, 3, 4] * 10:
        ran = run(*(work(f"{number}", 2.0) for number in range(size)))
        knows.study(ran, report(size, engine=CALL + EACH * size), began_at=20.0, now=21.0)
    assert waiting.predicted(run(work("a", 2.0)).batch) is None


def test_a_batch_like_the_latest_takes_as_long() -> None:
    """Batches of one shape teach no model, and need none."""
    knows, _ = learning()
    two = run(work("a", 2.0), work("b", 1.0))
    assert (knows.batch_seconds, knows.expected(two.batch)) == (FIRST_SECONDS, None)
    knows.ran(two, report(2, engine=0.7))
    assert (knows.batch_seconds, knows.expected(two.batch)) == (1.2, 0.7)
    assert knows.expected(run(work("a", 2.0)).batch) is None
    assert knows.expected(run(work("a", 2.0), predicted=0.3).batch) == 0.3


@pytest.mark.parametrize(("dynamic", "size"), [(True, 2), (False, 8)])
def test_memory_is_remembered(dynamic: bool, size: int) -> None:
    """A size that did not fit is halved for the next batch, unless sizes are fixed."""
    knows, waiting = learning(dynamic_batching=dynamic)
    knows.ran(run(work("a", 2.0)), report(1, memory=5))
    assert waiting.cap.size == size


@pytest.mark.parametrize(
    ("dynamic", "calls", "size"), [(True, 1, 4), (True, 2, 8), (False, 1, 8)], ids=["one", "pieces", "fixed"]
)
def test_next_batch_fits_into_what_is_free(dynamic: bool, calls: int, size: int) -> None:
    """Two took 100 bytes of which 225 are free; of a batch in pieces nobody knows what it took."""
    learns, waiting = learning(max_batch_size=8, dynamic_batching=dynamic)
    spent = {"taken": 100, "free": 225}
    learns.ran(
        run(work("a", 2.0), work("b", 2.0)),
        report(2) | {"memory": spent, "engine_calls": calls},
    )
    assert (waiting.cap.of("key"), waiting.cap.size) == (size, size)


def test_what_never_reached_the_engine_teaches_nothing() -> None:
    """Of a batch that lost some of its requests before, only how many were done and how long that took."""
    knows, waiting = learning(max_batch_size=8)
    spent = {"memory": {"taken": 100, "free": 50}}
    for number in range(40):
        size = 2 + number % 7
        lost = run(*(work(f"{nth}", 2.0) for nth in range(size)), predicted=0.25)
        knows.ran(lost, report(size, rows=1) | spent)
        knows.study(lost, report(size, rows=1), began_at=13.0, now=14.0)
    assert knows.rate == pytest.approx(1 / 1.5)
    assert (waiting.terms("key"), waiting.cap.of("key")) == (None, 8)
    assert knows.expected(run(*(work(f"{nth}", 2.0) for nth in range(6))).batch) is None
    assert told(knows.metrics)["segue_batch_prediction_ratio_count"] == 0.0


def test_a_batch_that_never_reached_the_engine_is_no_pace() -> None:
    """Nothing was done, however soon that was over."""
    knows, _ = learning()
    knows.ran(run(work("a", 2.0)), report(1))
    knows.ran(run(work("b", 2.0)), report(1, engine=0.0, rows=0, prepared=0.001))
    assert knows.rate == pytest.approx(1 / 1.5)


def test_a_size_that_was_cut_grows_by_batches_that_ran() -> None:
    """Those that never reached the engine have shown nothing of its memory."""
    knows, waiting = learning(max_batch_size=8)
    eight = run(*(work(f"{nth}", 2.0) for nth in range(8)))
    knows.ran(eight, report(8, memory=8))
    for _ in range(60):
        knows.ran(eight, report(8, rows=0))
    assert waiting.cap.of("key") == 4
    for _ in range(60):
        knows.ran(eight, report(8))
    assert waiting.cap.of("key") == 5


def test_next_batch_of_a_key_that_ran_out_is_smaller() -> None:
    """After four did not fit, two are taken at a time."""
    knows, waiting = learning()
    for number in range(12):
        one = work(f"{number}", 2.0)
        waiting.add(one.message, one.request, 0.0)
    taken = waiting.take(1.0)
    assert taken is not None
    batch, works = taken
    knows.ran(Run(number=1, batch=batch, works=tuple(works)), report(8, memory=4))
    following = waiting.take(1.0)
    assert following is not None
    assert (len(batch), len(following[0])) == (8, 2)


def test_figures_are_those_of_the_batch() -> None:
    """What was before it, what was in it, and who was late; of nobody by name."""
    knows, _ = learning()
    knows.engine_is_free(11.0)
    members = [work("a", 4.0, deadline_at=20.0), work("b", 2.0, deadline_at=30.0), work("c", 2.0)]
    ran = run(*members, predicted=0.8, was_held=True)
    knows.study(ran, report(3, ahead=2), began_at=12.25, now=21.0)
    found = told(knows.metrics)
    assert found["segue_batch_hold_seconds_sum"] == 1.0
    assert found["segue_engine_idle_with_work_seconds_total"] == 0.25
    assert found["segue_batch_cost_seconds_sum"] == 8.0
    assert found["segue_batch_padding_ratio_sum"] == pytest.approx(1 / 3)
    assert found["segue_batch_prediction_ratio_sum"] == 1.25
    assert found['segue_queue_wait_seconds_sum{class="bulk"}'] == 3 * 2.0
    assert found['segue_deadline_slack_seconds_bucket{le="0.0"}'] == 1
    assert found["segue_deadline_slack_seconds_count"] == 2
    assert found['segue_late_total{action="finished"}'] == 1
    assert found["segue_prepared_ahead_total"] == 2
    assert not [name for name in found if "secret" in name]


def test_who_fails_alone_was_isolated() -> None:
    """A batch that was halved counts those that an engine could not run, not those that made no sense."""
    metrics = Metrics()
    outcomes = [{"exc_type": "EngineError"}, {"exc_type": "RequestError"}, {"transcript": {}}]
    halved = report(3, engine_calls=4, outcomes=outcomes, memory=3)
    metrics.ran(run(*(work(name, 1.0) for name in "abc")), halved, gap=Gap(), ended_at=1.0)
    found = told(metrics)
    assert (found["segue_poison_isolated_total"], found["segue_oom_split_total"]) == (1, 1)


def test_padding_is_what_the_longest_costs_the_others() -> None:
    """None for equal lengths, and none for nobody."""
    assert padding([work("a", 3.0).item] * 4) == padding([]) == 0.0
    assert padding([work("a", 4.0).item, work("b", 1.0).item]) == pytest.approx(3 / 8)


def test_options_have_nothing_to_do_with_labels() -> None:
    """However many kinds of requests come, there are as many series as before."""
    metrics = Metrics()
    before: set[str] = set()
    for beam_size in range(1, 20):
        one = work(str(beam_size), 1.0)
        one.request = Request(
            request_id=str(beam_size),
            payload=one.request.payload,
            options=Options(beam_size=beam_size),
            tenant=f"t{beam_size}",
        )
        metrics.ran(run(one), report(1), gap=Gap(), ended_at=1.0)
        before = before or set(told(metrics))
    assert set(told(metrics)) == before


def test_what_is_heard_again_counts_when_it_is_done() -> None:
    """The pace is that of requests that end: one that waits for another temperature has not."""
    knows, _ = learning()
    knows.ran(run(work("a", 2.0), work("b", 1.0)), report(2, outcomes=[{"transcript": {}}, {"again": {}}]))
    assert knows.rate == pytest.approx(1 / 1.5)
