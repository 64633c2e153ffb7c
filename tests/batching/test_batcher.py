"""One test per rule of `batching.batcher`, and properties for what must always hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batching.batch import Reason
from batching.batcher import MOST_OVERTAKING, Batcher
from batching.item import URGENT, Item
from batching.limits import Limits, SizeCap

NORMAL = 5
BULK = 9


def item(
    name: int | str, at: float = 0.0, *, rank: int = NORMAL, key: str = "k", alone: bool = False
) -> Item:
    return Item(id=name, key=key, rank=rank, enqueued_at=at, cost=1.0, alone=alone)


def batcher(
    *items: Item, largest: int = 4, smallest: int = 2, wait: float = 0.1, cap: SizeCap | None = None
) -> Batcher:
    limits = Limits(max_batch_size=largest, min_batch_size=smallest, max_batch_wait=wait)
    made = Batcher(limits, cap=cap)
    for one in items:
        made.add(one)
    return made


def names(made: Batcher, now: float) -> list[object]:
    batch = made.take(now)
    return [one.id for one in batch.items] if batch else []


def test_members_are_bound_only_when_asked_for() -> None:
    """Items that arrive after the window has passed still join, until the engine asks (rule 1)."""
    made = batcher(item("early"), largest=4)
    made.add(item("late", at=5.0))
    assert names(made, now=5.0) == ["early", "late"]


def test_lower_rank_goes_first_then_enqueue_order() -> None:
    """Urgent overtakes normal, normal overtakes bulk; within a rank, first come first served (rule 2)."""
    made = batcher(
        item("bulk", 0.0, rank=BULK),
        item("second", 2.0),
        item("first", 1.0),
        item("urgent", 3.0, rank=URGENT),
        largest=3,
    )
    assert names(made, now=3.0) == ["urgent", "first", "second"]


def test_keys_never_mix() -> None:
    """Only items that share a key share a batch (rule 2)."""
    made = batcher(item(1, key="a"), item(2, key="b"), item(3, key="a"), item(4, key="b"))
    assert names(made, now=0.0) == [1, 3]
    assert names(made, now=0.0) == [2, 4]


def test_lone_item_waits_for_company() -> None:
    """Below `min_batch_size` nothing starts before the window has passed (rule 3)."""
    made = batcher(item(1, at=10.0), wait=0.1)
    assert made.take(10.05) is None
    assert made.wake_at() == pytest.approx(10.1)


def test_enough_items_start_at_once() -> None:
    """`min_batch_size` waiting items start without any wait (rule 3)."""
    batch = batcher(item(1), item(2), smallest=2).take(0.0)
    assert batch is not None
    assert (len(batch), batch.reason) == (2, Reason.ENOUGH)


def test_urgent_item_starts_at_once_and_takes_others_along() -> None:
    """An urgent item does not wait for company, and whoever waits rides with it (rule 3)."""
    batch = batcher(item(1), item(2, rank=URGENT), smallest=4).take(0.0)
    assert batch is not None
    assert ([one.id for one in batch.items], batch.reason) == ([2, 1], Reason.URGENT)


def test_window_counts_from_enqueue() -> None:
    """An item that waited in the queue for the window is not held again (rule 3)."""
    batch = batcher(item(1, at=0.0), wait=0.1).take(7.0)
    assert batch is not None
    assert batch.reason is Reason.WINDOW


def test_window_of_the_oldest_counts_whatever_its_rank() -> None:
    """An old bulk item behind a young normal one still ends the wait (rule 3)."""
    made = batcher(item("old", 0.0, rank=BULK), item("young", 0.09), smallest=4, wait=0.1)
    assert made.take(0.09) is None
    assert names(made, now=0.1) == ["young", "old"]


def test_key_with_urgent_item_goes_before_older_key() -> None:
    """Of two keys that may start, urgency decides before age (rule 4)."""
    made = batcher(item(1, 0.0, key="a"), item(2, 5.0, key="b", rank=URGENT))
    assert names(made, now=5.0) == [2]


def test_older_key_goes_first() -> None:
    """Of two keys without urgent items, the one with the oldest item starts (rule 4)."""
    made = batcher(item(1, 1.0, key="a"), item(2, 0.0, key="b"))
    assert names(made, now=9.0) == [2]


def test_ready_key_is_overtaken_a_bounded_number_of_times() -> None:
    """A flood of urgent work of one key lets another go after so many batches, and again after as many."""
    made = batcher(*[item(f"patient {number}", key="other") for number in range(3)], largest=1, smallest=1)
    order: list[object] = []
    for number in range(3 * (MOST_OVERTAKING + 1)):
        made.add(item(number, rank=URGENT))
        order += names(made, now=1.0)
    assert [place for place, name in enumerate(order) if isinstance(name, str)] == [19, 39, 59]


def test_batch_takes_all_that_wait_up_to_its_limit() -> None:
    """Five waiting items and a limit of four make a full batch, and one stays (rule 5)."""
    made = batcher(*(item(number, number) for number in range(5)), largest=4)
    batch = made.take(5.0)
    assert batch is not None
    assert (len(batch), batch.reason, len(made)) == (4, Reason.FULL, 1)


def test_smaller_memory_makes_smaller_batches() -> None:
    """What memory allows cuts the batches of a key, and lowers what counts as enough with it (rule 5)."""
    cap = SizeCap(4)
    made = batcher(*(item(number) for number in range(4)), smallest=4, cap=cap)
    for number in range(4, 8):
        made.add(item(number, at=0.05, key="other"))
    cap.shrink("k", 4)
    assert made.wake_at() == float("-inf")
    assert [names(made, now=0.05) for _ in range(3)] == [[0, 1], [2, 3], [4, 5, 6, 7]]


def test_plan_gives_way_to_less_memory() -> None:
    """Members chosen ahead that fit into memory no more are chosen anew (rule 8)."""
    cap = SizeCap(4)
    made = batcher(*(item(number) for number in range(4)), cap=cap)
    made.plan(0.0)
    cap.shrink("k", 4)
    assert names(made, now=0.0) == [0, 1]


def test_suspect_runs_alone_and_at_once() -> None:
    """An item under suspicion neither waits nor takes anyone along (rule 6)."""
    made = batcher(item(1, 0.0, alone=True), item(2, 1.0), item(3, 1.0))
    batch = made.take(1.0)
    assert batch is not None
    assert ([one.id for one in batch.items], batch.reason) == ([1], Reason.ALONE)
    assert names(made, now=1.0) == [2, 3]


def test_batch_size_one_runs_one_by_one() -> None:
    """With `max_batch_size` 1 nothing waits and the reason says why (batching off)."""
    batch = batcher(item(1), item(2), largest=1, smallest=1).take(0.0)
    assert batch is not None
    assert (len(batch), batch.reason) == (1, Reason.ALONE)


def test_min_equal_to_max_is_the_fixed_window() -> None:
    """The classic rule: full, or the window has passed."""
    made = batcher(item(1), item(2), item(3), largest=4, smallest=4, wait=0.1)
    assert made.take(0.0) is None
    made.add(item(4, 0.05))
    assert names(made, now=0.05) == [1, 2, 3, 4]


def test_discarded_item_does_not_run() -> None:
    """A cancelled item leaves; its neighbours stay; an unknown one is no error."""
    made = batcher(item(1), item(2), item(3))
    made.discard(2)
    made.discard("never added")
    assert names(made, now=0.0) == [1, 3]
    assert len(made) == 0


def test_same_id_cannot_wait_twice() -> None:
    """Two waiting items never share an id."""
    made = batcher(item(1))
    with pytest.raises(ValueError, match="waits already"):
        made.add(item(1))


def test_cleared_batcher_holds_nothing() -> None:
    """After `clear` nothing waits and nothing wakes."""
    made = batcher(item(1), item(2))
    made.clear()
    assert (len(made), made.take(99.0), made.wake_at()) == (0, None, None)


items = st.builds(
    item,
    st.integers(0, 10_000),
    st.floats(0, 100, allow_nan=False),
    rank=st.sampled_from([URGENT, NORMAL, BULK]),
    key=st.sampled_from("abc"),
    alone=st.booleans(),
)


@given(
    arrivals=st.lists(items, unique_by=lambda one: one.id, max_size=60),
    limits=st.integers(1, 9).flatmap(lambda top: st.tuples(st.just(top), st.integers(1, top))),
    failed=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 20)), max_size=5),
    steps=st.lists(st.floats(0, 1), max_size=80),
)
def test_nothing_lost_nothing_doubled_limits_kept(
    arrivals: list[Item], limits: tuple[int, int], failed: list[tuple[str, int]], steps: list[float]
) -> None:
    """Every item leaves in exactly one batch; batches keep size, key and solitude, in rank order."""
    largest, smallest = limits
    cap = SizeCap(largest)
    made = batcher(largest=largest, smallest=smallest, wait=0.5, cap=cap)
    now, left, taken = 0.0, list(arrivals), []
    for step in steps:
        if left:
            made.add(left.pop())
        now += step
        if batch := made.take(now):
            taken.append((batch, cap.of(batch.key)))
            if failed:
                cap.shrink(*failed.pop())
    for one in left:
        made.add(one)
    while batch := made.take(1_000.0):
        taken.append((batch, cap.of(batch.key)))

    assert len(made) == 0
    ran = [one.id for batch, _ in taken for one in batch.items]
    assert len(ran) == len(set(ran))
    assert set(ran) == {one.id for one in arrivals}
    for batch, at_most in taken:
        assert 1 <= len(batch) <= at_most <= largest
        assert len({one.key for one in batch.items}) == 1
        assert not any(one.alone for one in batch.items) or len(batch) == 1
        order = [(one.rank, one.enqueued_at) for one in batch.items]
        assert order == sorted(order)


@given(arrivals=st.lists(items, min_size=1, max_size=30, unique_by=lambda one: one.id))
def test_nothing_waits_past_its_window(arrivals: list[Item]) -> None:
    """Once `wake_at` has come, a free engine is given a batch; just before, it may have to wait."""
    made = batcher(*arrivals, largest=8, smallest=8, wait=0.5)
    while len(made):
        wake_at = made.wake_at()
        assert wake_at is not None
        assert wake_at <= max(one.enqueued_at for one in arrivals) + 0.5
        assert made.take(max(wake_at, 0.0)) is not None
