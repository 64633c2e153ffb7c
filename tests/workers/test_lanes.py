"""Pieces of a batch, run side by side."""

import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.engine.lanes import Lanes, pieces_of

Groups = list[list[int]]


def cut(groups: Groups, lanes: int, call: float = 3.0) -> list[Sequence[int]]:
    """Rows are their own cost here."""
    return pieces_of(groups, lanes, cost=float, call=call)


def through(pieces: Sequence[Sequence[int]], lanes: int, call: float) -> float:
    """When all have run: the first ones first, each on the lane that is free first."""
    free = [0.0] * lanes
    for piece in pieces:
        free.sort()
        free[0] += call + sum(piece)
    return max(free)


def test_one_lane_runs_whole_groups() -> None:
    """Without company a cut only costs a call."""
    assert cut([[1, 2, 3], [4]], 1) == [[1, 2, 3], [4]]


@pytest.mark.parametrize("rows", [8, 32])
@pytest.mark.parametrize("lanes", [3, 5, 6])
def test_a_group_is_cut_once_for_each_lane(rows: int, lanes: int) -> None:
    """No piece is cut again for want of a better first cut."""
    sizes = sorted(map(len, cut([[7] * rows], lanes)), reverse=True)
    assert (len(sizes) <= lanes, sizes[0]) == (True, -(-rows // lanes))


@pytest.mark.parametrize("lanes", [2, 4, 8])
def test_a_group_that_is_the_whole_batch_is_shared_out(lanes: int) -> None:
    """Rows of one shape keep every lane busy."""
    assert cut([[7] * 8], lanes) == [[7] * (8 // lanes)] * lanes


def test_groups_that_keep_all_lanes_busy_stay_whole() -> None:
    """A row moved to the other lane would end it no sooner, for the call that this costs."""
    assert cut([[1] * 12, [3] * 3], 2) == [[1] * 12, [3] * 3]
    assert cut([[1] * 12, [3] * 3], 2, call=0.1) == [[1] * 11, [3] * 3, [1]]


def test_lanes_are_through_together() -> None:
    """The large group gives the lane with less to do as many rows as bring both to their end at once."""
    pieces = cut([[2] * 9, [3]], 2)
    assert pieces == [[2, 2, 2, 2, 2, 2], [2, 2, 2], [3]]
    assert through(pieces, 2, 3.0) == 15.0


def test_what_a_call_costs_is_no_part_of_the_rows() -> None:
    """Each piece has it, however many rows it is given."""
    assert cut([[1] * 100], 2, call=30.0) == [[1] * 50] * 2


def test_what_costs_most_comes_first() -> None:
    """The last to start is short, so that no lane waits long for it."""
    assert cut([[1], [30, 30], [5, 5]], 1) == [[30, 30], [5, 5], [1]]


groups_of_rows = st.lists(st.lists(st.integers(0, 3000), min_size=1, max_size=30), min_size=1, max_size=8)


@given(groups_of_rows, st.integers(1, 16), st.sampled_from([0.0, 1.0, 300.0]))
def test_every_row_is_in_one_piece(groups: Groups, lanes: int, call: float) -> None:
    """Nothing is lost or doubled, and no piece mixes groups."""
    named = [[(nth, row) for row in group] for nth, group in enumerate(groups)]
    pieces = pieces_of(named, lanes, cost=lambda row: row[1], call=call)
    assert sorted(row for piece in pieces for row in piece) == sorted(row for group in named for row in group)
    assert all(len({nth for nth, _ in piece}) == 1 for piece in pieces)


@given(groups_of_rows, st.integers(1, 16), st.sampled_from([0.0, 1.0, 300.0]))
def test_no_cut_keeps_a_batch_longer(groups: Groups, lanes: int, call: float) -> None:
    """It is through no later than with its groups whole, or none above a lane's share of the rows."""
    share = -(-sum(map(len, groups)) // lanes)
    shared = [group[at : at + share] for group in groups for at in range(0, len(group), share)]
    for other in (groups, shared):
        other.sort(key=sum, reverse=True)
        assert through(cut(groups, lanes, call), lanes, call) <= through(other, lanes, call) + 1e-6


@given(st.integers(1, 64), st.integers(1, 16), st.integers(0, 3000))
def test_rows_of_one_shape_are_shared_out_well(rows: int, lanes: int, cost: int) -> None:
    """As soon as the largest of even shares is through."""
    even = 1.0 + cost * -(-rows // lanes)
    assert through(cut([[cost] * rows], lanes, 1.0), lanes, 1.0) <= even


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
