"""What must always hold, with every rule on: whatever comes, however long it is and the engine takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from batching.batch import Batch
from batching.batcher import MOST_OVERTAKING, Batcher
from batching.forecast import Forecast
from batching.item import URGENT, Item
from batching.latency import Ran
from batching.limits import Limits, SizeCap
from batching.members import MOST_PASSED_BY

LENGTHS = (1.0, 4.0, 30.0)

CALIBRATION = [
    Ran(size=size, longest=longest, seconds=0.04 + 0.008 * size + 0.011 * longest + 0.0002 * size * longest)
    for size in (1, 4, 16)
    for longest in LENGTHS
]


@dataclass(frozen=True)
class Step:
    """So many seconds later an item comes, and then, perhaps, the engine is free."""

    after: float
    item: Item
    is_free: bool


def as_steps(drawn: list[tuple[float, float | None, bool, Item]]) -> list[Step]:
    """Ids and times in the order of arrival."""
    steps, now = [], 0.0
    for number, (after, patience, is_free, item) in enumerate(drawn):
        now += after
        deadline_at = None if patience is None else now + patience
        came = replace(item, id=number, enqueued_at=now, deadline_at=deadline_at)
        steps.append(Step(after, came, is_free))
    return steps


items = st.builds(
    Item,
    id=st.just(0),
    key=st.sampled_from("ab"),
    rank=st.sampled_from([URGENT, 5, 9]),
    enqueued_at=st.just(0.0),
    cost=st.sampled_from(LENGTHS),
    tenant=st.sampled_from(["", "x", "y"]),
    alone=st.sampled_from([False] * 9 + [True]),
)
traffic = st.lists(
    st.tuples(st.floats(0, 0.2), st.none() | st.floats(0.01, 2), st.booleans(), items),
    min_size=1,
    max_size=60,
).map(as_steps)
limits = st.builds(
    Limits,
    max_batch_size=st.integers(3, 9),
    min_batch_size=st.integers(1, 3),
    max_batch_wait=st.sampled_from([0.0, 0.1]),
    max_batch_seconds=st.sampled_from([20.0, 100.0, float("inf")]),
    urgent_seconds=st.sampled_from([0.1, float("inf")]),
    tenant_weights=st.just({"x": 3.0}),
)


def run(batcher: Batcher, steps: list[Step], *, plans: bool = False) -> list[Batch]:
    """All batches: those that a free engine was given on the way, and then until nothing waits.

    With `plans` one is chosen ahead before each item comes.
    """
    batches, now = [], 0.0
    for step in steps:
        now = max(now, step.item.enqueued_at)
        if plans:
            batcher.plan(now)
        batcher.add(step.item)
        if step.is_free and (batch := batcher.take(now)):
            batches.append(batch)
            batcher.ran(batch, 1.1 * (batch.predicted or 0.1))
    while (wake_at := batcher.wake_at()) is not None:
        now = max(now, wake_at)
        batch = batcher.take(now)
        assert batch is not None
        batches.append(batch)
    return batches


@settings(max_examples=60)
@given(steps=traffic, limits=limits)
def test_each_runs_once_within_the_limits(steps: list[Step], limits: Limits) -> None:
    """Nothing is lost or doubled (B4); size, seconds and keys are kept, suspects run alone (B3)."""
    batcher = Batcher(limits, Forecast(CALIBRATION))
    batches = run(batcher, steps)
    assert sorted(item.id for batch in batches for item in batch.items) == list(range(len(steps)))  # type: ignore[type-var]  # ids are numbers here
    for batch in batches:
        assert len(batch) <= limits.max_batch_size
        assert len(batch) == 1 or batch.padded <= limits.max_batch_seconds
        assert len({item.key for item in batch.items}) == 1
        assert len(batch) == 1 or not any(item.alone for item in batch.items)


@settings(max_examples=30)
@given(steps=traffic, limits=limits)
def test_choosing_ahead_changes_nothing(steps: list[Step], limits: Limits) -> None:
    """Whatever comes after a plan is considered as if there had been none: members stay bound late."""
    with_plans = run(Batcher(limits, Forecast(CALIBRATION)), steps, plans=True)
    assert with_plans == run(Batcher(limits, Forecast(CALIBRATION)), steps)


@settings(max_examples=30)
@given(steps=traffic, limits=limits)
def test_free_engine_never_idles_without_reason(steps: list[Step], limits: Limits) -> None:
    """With a minimum of 1 and no window there is a batch whenever anything waits (B1)."""
    batcher = Batcher(replace(limits, min_batch_size=1, max_batch_wait=0.0), Forecast(CALIBRATION))
    for step in steps:
        batcher.add(step.item)
        assert not step.is_free or batcher.take(step.item.enqueued_at) is not None


@settings(max_examples=30)
@given(steps=traffic, limits=limits)
def test_nothing_is_held_for_longer_than_the_window(steps: list[Step], limits: Limits) -> None:
    """Whatever is hoped for, a free engine is given the oldest item's batch when its window ends (B2)."""
    batcher = Batcher(limits, Forecast(CALIBRATION))
    waiting: dict[object, float] = {}
    for step in steps:
        now = step.item.enqueued_at
        batcher.add(step.item)
        waiting[step.item.id] = now
        if step.is_free and (batch := batcher.take(now)):
            for item in batch.items:
                del waiting[item.id]
        elif step.is_free:
            assert min(waiting.values()) + limits.max_batch_wait > now
        wake_at = batcher.wake_at()
        assert wake_at is None or wake_at <= min(waiting.values()) + limits.max_batch_wait


@settings(max_examples=30)
@given(steps=traffic, limits=limits)
def test_equals_go_first_come_first_served(steps: list[Step], limits: Limits) -> None:
    """Of two items that differ in nothing but when they came, the later never runs first (B5)."""
    batcher = Batcher(limits, Forecast(CALIBRATION))
    plain = [replace(step, item=replace(step.item, deadline_at=None, alone=False)) for step in steps]
    order: dict[object, list[float]] = {}
    for batch in run(batcher, plain):
        for item in sorted(batch.items, key=lambda item: item.enqueued_at):
            like = (item.key, item.rank, item.cost, item.tenant)
            order.setdefault(like, []).append(item.enqueued_at)
    assert all(times == sorted(times) for times in order.values())


@settings(max_examples=30)
@given(
    victim=items, flood=items, largest=st.integers(1, 4), urgent_seconds=st.sampled_from([0.1, float("inf")])
)
def test_oldest_is_overtaken_a_bounded_number_of_times(
    victim: Item, flood: Item, largest: int, urgent_seconds: float
) -> None:
    """No flood of whatever rank, length, tenant, key or deadline keeps an item for ever (B5)."""
    limits = Limits(
        max_batch_size=largest,
        min_batch_size=1,
        max_batch_seconds=20.0,
        urgent_seconds=urgent_seconds,
        tenant_weights={"x": 3.0},
    )
    batcher = Batcher(limits, Forecast(CALIBRATION))
    batcher.add(replace(victim, id="victim", alone=False))
    for number in range((MOST_PASSED_BY + 1) * (MOST_OVERTAKING + 1)):
        for one in range(largest):
            batcher.add(replace(flood, id=(number, one), enqueued_at=0.001, alone=False, deadline_at=9.0))
        batch = batcher.take(0.001)
        assert batch is not None
        if "victim" in [item.id for item in batch.items]:
            return
    raise AssertionError("the oldest item still waits")


@settings(max_examples=30)
@given(steps=traffic, at_most=st.integers(1, 9))
def test_what_is_held_fits_the_next_batch(steps: list[Step], at_most: int) -> None:
    """A batcher that is given no more than it has room for is empty after one batch of each key (B7)."""
    cap = SizeCap(9)
    cap.shrink("a", 2 * at_most)
    batcher = Batcher(Limits(max_batch_size=9, min_batch_size=1, max_batch_wait=0.0), cap=cap)
    held = [replace(step.item, key="a", alone=False) for step in steps[: cap.of("a")]]
    for item in held:
        batcher.add(item)
    batch = batcher.take(60.0)
    assert batch is not None
    assert (len(batch), len(batcher)) == (len(held), 0)


@settings(max_examples=20)
@given(waiting=st.integers(20, 400), lengths=st.lists(st.sampled_from(LENGTHS), min_size=1, max_size=8))
def test_congestion_is_forgotten_with_the_queue(waiting: int, lengths: list[float]) -> None:
    """Once the queue is empty, a lone item starts at once, as in a batcher that never saw congestion (B9)."""
    batcher = Batcher(Limits(max_batch_size=8, min_batch_size=1), Forecast(CALIBRATION))
    for number in range(waiting):
        length = lengths[number % len(lengths)]
        batcher.add(Item(id=number, key="a", enqueued_at=number * 0.001, cost=length))
    while len(batcher):
        assert batcher.take(60.0) is not None
    batcher.add(Item(id="lone", key="a", enqueued_at=120.0, cost=lengths[0]))
    assert batcher.take(120.0) is not None
