"""One test per rule of `batching.deadlines`."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batching.deadlines import best_stretch
from batching.duration import Duration
from batching.windows import Room

BY_SIZE = Duration(0.08, 0.02)


def stretch(slack: list[float], rows: int = 4) -> tuple[int, int]:
    return best_stretch(np.array(slack), np.ones(len(slack)), BY_SIZE, Room(rows=rows))


def test_batch_ends_before_the_deadline_of_its_first() -> None:
    """Two take 0.12 s and three 0.14 s: with 0.13 s left, two run (rule 1)."""
    assert stretch([0.13, 0.13]) == (0, 2)
    assert stretch([0.13, 5.0, 5.0]) == (0, 2)


def test_one_that_costs_many_is_passed_over() -> None:
    """The first would run by itself, and then all four behind it would be late (rule 2)."""
    assert stretch([0.1, 0.17, 0.17, 0.17, 0.17]) == (1, 5)


def test_one_that_costs_nobody_is_not_passed_over() -> None:
    """With time enough behind it, the first runs, by itself if need be (rule 2)."""
    assert stretch([0.1, 5.0, 5.0, 5.0, 5.0])[0] == 0


@given(
    slack=st.lists(st.floats(0.1, 3), min_size=1, max_size=60),
    rows=st.integers(1, 8),
    seconds=st.floats(1, 40),
)
def test_all_of_a_stretch_are_in_time(slack: list[float], rows: int, seconds: float) -> None:
    """Never empty, never beyond the room, and its end is before the first of its deadlines."""
    slack.sort()
    lengths = np.linspace(1, 2, len(slack))
    room = Room(rows=rows, seconds=seconds)
    begin, end = best_stretch(np.array(slack), lengths, BY_SIZE, room)
    size = end - begin
    assert 1 <= size <= rows
    assert size == 1 or size * lengths[begin:end].max() <= seconds
    assert BY_SIZE.seconds(float(size), 0.0) <= slack[begin] + 1e-9
