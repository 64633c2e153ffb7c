"""One test per rule of `batching.windows`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batching.duration import Duration
from batching.windows import LEAST_TAU, Room, best_window

PADDED = Duration(0.04, 0.008, 0.011, 0.0002)


def window(
    lengths: list[float],
    ages: list[float] | None = None,
    *,
    rows: int,
    rate: float = 0.0,
    elsewhere: int = 0,
) -> list[float]:
    by_age = np.array(ages) if ages else np.zeros(len(lengths))
    begin, end = best_window(np.array(lengths), by_age, PADDED, Room(rows=rows), rate, elsewhere)
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


def test_those_elsewhere_count_as_waiting() -> None:
    """With more to come than fit the engine makes the most of each second, though two are here (rule 3)."""
    assert window([1.0, 5.0], rows=2) == [1.0]
    assert window([1.0, 5.0], rows=2, elsewhere=1) == [1.0, 5.0]


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


@settings(max_examples=60)
@given(
    lengths=st.lists(
        st.sampled_from([0.5, 1.0, 2.0, 7.5, 30.0]) | st.floats(0.1, 30), min_size=1, max_size=40
    ),
    ages=st.lists(st.floats(0, 9), min_size=40, max_size=40),
    rows=st.integers(1, 45),
    seconds=st.sampled_from([20.0, 100.0, float("inf")]),
    rate=st.floats(0, 100),
)
def test_window_is_the_best_there_is(
    lengths: list[float], ages: list[float], rows: int, seconds: float, rate: float
) -> None:
    """No other of the largest windows is better by the rules, calculated one by one (rules 1 to 4)."""
    lengths.sort()
    room, ages = Room(rows=rows, seconds=seconds), ages[: len(lengths)]
    begin, end = best_window(np.array(lengths), np.array(ages), PADDED, room, rate)
    windows = [largest_window(lengths, last, room) for last in range(1, len(lengths) + 1)]
    assert (begin, end) in windows
    least = min(badness(*window, lengths, ages, room, rate) for window in windows)
    assert badness(begin, end, lengths, ages, room, rate) == pytest.approx(least)


def largest_window(lengths: list[float], end: int, room: Room) -> tuple[int, int]:
    """Down to one item, until it fits."""
    longest = lengths[end - 1]
    fits = (size for size in range(min(end, room.rows), 1, -1) if size <= room.seconds / longest)
    return end - next(fits, 1), end


def badness(begin: int, end: int, lengths: list[float], ages: list[float], room: Room, rate: float) -> float:
    """What the window should have little of: waiting in all (rule 2), or seconds for each weight (rule 3)."""
    tau = max(LEAST_TAU, PADDED.seconds(float(room.rows), lengths[-1]))
    weights = [1 + (age / tau) ** 2 for age in ages]
    inside, everybody = sum(weights[begin:end]), sum(weights)
    left, seconds = len(lengths) - (end - begin), PADDED.seconds(float(end - begin), lengths[end - 1])
    if len(lengths) > room.rows:
        return seconds / inside
    rest = PADDED.seconds(float(left), lengths[-1]) if left else 0.0
    return everybody * seconds + (everybody - inside) * rest + rate / 2 * (seconds + rest) ** 2
