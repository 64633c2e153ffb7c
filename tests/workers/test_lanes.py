"""Pieces of a batch, run side by side."""

import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.engine.lanes import Lanes, pieces_of

Groups = list[list[int]]


def cut(groups: Groups, lanes: int) -> list[Sequence[int]]:
    """Rows are their own cost here."""
    return pieces_of(groups, lanes, cost=float)


def test_one_lane_runs_whole_groups() -> None:
    """Without company a cut only costs a call."""
    assert cut([[1, 2, 3], [4]], 1) == [[1, 2, 3], [4]]


def test_a_group_that_is_the_whole_batch_is_shared_out() -> None:
    """Rows of one shape keep every lane busy."""
    assert cut([[1, 1, 1, 1, 1, 1, 1, 1]], 2) == [[1, 1, 1, 1], [1, 1, 1, 1]]


def test_a_group_within_a_lanes_share_stays_whole() -> None:
    """Three groups are enough for two lanes; further cuts would cost calls."""
    assert len(cut([[1, 1, 1], [2, 2, 2], [3, 3]], 2)) == 3


def test_what_costs_most_comes_first() -> None:
    """The last to start is short, so that no lane waits long for it."""
    assert cut([[1], [30, 30], [5, 5]], 1) == [[30, 30], [5, 5], [1]]


@given(st.lists(st.lists(st.integers(1, 3000), min_size=1), min_size=1), st.integers(1, 16))
def test_every_row_is_in_one_piece(groups: Groups, lanes: int) -> None:
    """Nothing is lost or doubled, no piece mixes groups, and none has more than its lane's share."""
    named = [[(nth, row) for row in group] for nth, group in enumerate(groups)]
    pieces = pieces_of(named, lanes, cost=lambda row: row[1])
    assert sorted(row for piece in pieces for row in piece) == sorted(row for group in named for row in group)
    assert all(len({nth for nth, _ in piece}) == 1 for piece in pieces)
    assert max(map(len, pieces)) <= -(-sum(map(len, groups)) // lanes)


def test_pieces_run_at_the_same_time() -> None:
    """Two pieces that wait for each other both get through, on two lanes."""
    meeting = threading.Barrier(2, timeout=60)
    met: list[int] = []
    lanes = Lanes(2)
    lanes.run(lambda _: met.append(meeting.wait()), [[1], [2]])
    lanes.close()
    assert sorted(met) == [0, 1]


def test_an_error_comes_through_when_nothing_runs_any_more() -> None:
    """The caller may start over: no piece of the failed batch is still using the model."""
    failed, came_back = threading.Event(), threading.Event()
    was_early: list[bool] = []

    def listen(piece: Sequence[int]) -> None:
        if piece[0] == 0:
            failed.set()
            raise MemoryError("full")
        failed.wait(60)
        was_early.append(came_back.wait(0.3))  # long enough to see a caller that does not wait

    lanes = Lanes(2)
    with pytest.raises(MemoryError, match="full"):
        lanes.run(listen, [[0], [1]])
    came_back.set()
    lanes.close()
    assert was_early == [False]


def test_one_lane_is_the_callers_own_thread() -> None:
    """No thread is started for a model that takes one call at a time."""
    seen: list[threading.Thread] = []
    Lanes(1).run(lambda _: seen.append(threading.current_thread()), [[1], [2]])
    assert seen == [threading.current_thread()] * 2
