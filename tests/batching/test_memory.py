"""One test per rule of `batching.memory`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batching.batch import Reason
from batching.batcher import Batcher
from batching.item import Item
from batching.limits import Limits, SizeCap
from batching.memory import MOST_KEYS, SHARE, Memory, MemoryModel

MB = 1_000_000


def model(size: int, taken: int, free: int, longest: float = 10.0) -> MemoryModel:
    made = MemoryModel()
    made.ran("k", Memory(taken=taken, free=free), size=size, longest=longest)
    return made


def test_batch_fits_into_most_of_what_is_free() -> None:
    """Four took 400 MB: of 1000 MB nine may take 900 (rules 1, 2)."""
    assert model(4, 400 * MB, 1000 * MB).most("k", 10.0) == 9


def test_size_follows_what_is_free() -> None:
    """Whatever runs tells what is free now, for all keys, though it took nothing new (rule 2)."""
    known = model(4, 400 * MB, 1000 * MB)
    known.ran("other", Memory(taken=None, free=500 * MB), size=1, longest=1.0)
    assert known.most("k", 10.0) == 4


def test_larger_batch_knows_better() -> None:
    """A call by itself takes 100 MB: one item seems to take 200, nine take 100 and a ninth of it (rule 1)."""
    known = model(1, 200 * MB, 2000 * MB)
    assert known.most("k") == 9
    known.ran("k", Memory(taken=1000 * MB, free=2000 * MB), size=9, longest=10.0)
    assert known.most("k") == 16
    known.ran("k", Memory(taken=200 * MB, free=2000 * MB), size=1, longest=10.0)
    assert known.most("k") == 16


def test_longer_items_take_more() -> None:
    """One of twice the length that is known may take twice as much, a shorter one as much."""
    known = model(4, 400 * MB, 1000 * MB, longest=10.0)
    assert [known.most("k", longest) for longest in (5.0, 10.0, 20.0)] == [9, 9, 4]


def test_unknown_key_is_not_limited() -> None:
    """What others took says nothing of a key that has not run (rule 3)."""
    assert model(4, 400 * MB, 10 * MB).most("new") == float("inf")


def test_one_item_may_always_run() -> None:
    """However little is free: whether a single one fits, its call finds out."""
    assert model(4, 400 * MB, 1 * MB).most("k") == 1


def test_number_of_keys_is_bounded() -> None:
    """Of as many keys as callers make, the one that ran longest ago is forgotten."""
    known = MemoryModel()
    for number in range(MOST_KEYS + 1):
        known.ran(number, Memory(taken=MB, free=MB), size=1, longest=1.0)
    assert (known.most(0), known.most(1)) == (float("inf"), 1)


@given(
    size=st.integers(1, 64),
    taken=st.integers(1, 10**11),
    free=st.integers(0, 10**11),
    longest=st.floats(0.1, 30),
    asked=st.floats(0, 60),
)
def test_what_should_fit_fits(size: int, taken: int, free: int, longest: float, asked: float) -> None:
    """More than one item never takes more than its share of what is free, by what was seen."""
    most = model(size, taken, free, longest).most("k", asked)
    assert most == 1 or most * taken / size * max(1.0, asked / longest) <= SHARE * free * (1 + 1e-9)


def test_batch_says_that_memory_made_it_small() -> None:
    """Two of three run, because two are what fits; the cap of an out-of-memory says the same."""
    by_model, by_cut = SizeCap(8), SizeCap(8)
    by_model.memory.ran("k", Memory(taken=MB, free=3 * MB), size=1, longest=1.0)
    by_cut.shrink("k", 4)
    for cap in (by_model, by_cut):
        made = Batcher(Limits(max_batch_size=8, min_batch_size=2), cap=cap)
        for number in range(3):
            made.add(Item(id=number, key="k", enqueued_at=0.0, cost=1.0))
        batch = made.take(0.0)
        assert batch is not None
        assert (len(batch), batch.reason) == (2, Reason.MEMORY)


def test_growth_after_out_of_memory_is_not_stopped_by_the_model() -> None:
    """A size that was halved is that of the cut: what is known to fit does not halve it once more."""
    cap = SizeCap(16)
    cap.memory.ran("k", Memory(taken=MB, free=3 * MB), size=1, longest=1.0)
    cap.shrink("k", 16)
    cap.memory.ran("k", Memory(taken=None, free=100 * MB), size=1, longest=1.0)
    assert cap.of("k") == 8
    assert cap.of("k", 1.0) == pytest.approx(8)
