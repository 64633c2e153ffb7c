"""How many messages a freed worker takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batching.pulling import share


@pytest.mark.parametrize(("waiting", "free", "taken"), [(8, 2, 4), (9, 2, 5), (1, 4, 1), (0, 2, 0)])
def test_idle_workers_share_a_short_queue(waiting: int, free: int, taken: int) -> None:
    """Each takes its part, rounded up."""
    assert share(waiting, free, largest=16) == taken


def test_long_queue_is_taken_in_full_batches() -> None:
    """With enough for half of everybody's batches, each fills its own."""
    assert share(17, 2, largest=16) == 16


def test_single_worker_takes_all() -> None:
    """Nobody to share with."""
    assert [share(waiting, 1, largest=16) for waiting in (3, 8, 30)] == [3, 8, 16]


@given(waiting=st.integers(0, 500), free=st.integers(1, 20), largest=st.integers(1, 64))
def test_nobody_takes_more_than_it_may_and_nothing_stays(waiting: int, free: int, largest: int) -> None:
    """Never more than there is or than a batch holds; together they take all, or a batch at least."""
    taken = share(waiting, free, largest)
    assert 0 <= taken <= min(waiting, largest)
    assert taken * free >= min(waiting, largest)
