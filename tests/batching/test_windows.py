"""One test per rule of `batching.windows`."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batching.duration import Duration
from batching.windows import Room, best_window

PADDED = Duration(0.04, 0.008, 0.011, 0.0002)


def window(
    lengths: list[float], ages: list[float] | None = None, *, rows: int, rate: float = 0.0
) -> list[float]:
    by_age = np.array(ages) if ages else np.zeros(len(lengths))
    begin, end = best_window(np.array(lengths), by_age, PADDED, Room(rows=rows), rate)
    return lengths[begin:end]


def test_window_is_as_large_as_it_may_be() -> None:
    """No shorter one is left out while there is room (rule 1)."""
    assert window([1.0, 2.0, 2.5, 30.0, 30.0], rows=8)[0] == 1.0


def test_few_short_ones_go_before_a_long_one() -> None:
    """Two calls are less waiting in all than padding four to the longest (rule 2)."""
    assert window([1.0, 1.0, 1.0, 30.0], rows=8) == [1.0, 1.0, 1.0]


def test_one_call_for_all_when_many_more_come() -> None:
    """At a high rate those who come meanwhile wait for both calls, so that one is better (rule 2)."""
    assert window([1.0, 1.0, 1.0, 30.0], rows=8, rate=300.0) == [1.0, 1.0, 1.0, 30.0]


def test_most_items_in_a_second_go_first() -> None:
    """Of more than fit, the shortest make the most of the engine, though others are older (rule 3)."""
    assert window([1.0, 1.0, 9.0, 30.0, 30.0], [0.0, 0.0, 0.0, 0.4, 0.4], rows=2) == [1.0, 1.0]


def test_age_outweighs_length() -> None:
    """Those that waited for long go before shorter ones that just came (rule 4)."""
    assert window([1.0, 1.0, 30.0, 30.0], [0.0, 0.0, 9.0, 9.0], rows=2) == [30.0, 30.0]


@given(
    lengths=st.lists(st.floats(0, 30), min_size=1, max_size=40),
    rows=st.integers(1, 9),
    seconds=st.floats(1, 100),
    rate=st.floats(0, 100),
)
def test_window_keeps_its_room(lengths: list[float], rows: int, seconds: float, rate: float) -> None:
    """At least one item; never more than the rows; never more padded audio, but for one item by itself."""
    lengths.sort()
    room = Room(rows=rows, seconds=seconds)
    begin, end = best_window(np.array(lengths), np.arange(float(len(lengths))), PADDED, room, rate)
    assert 0 <= begin < end <= len(lengths)
    assert end - begin <= rows
    assert end - begin == 1 or (end - begin) * lengths[end - 1] <= seconds
