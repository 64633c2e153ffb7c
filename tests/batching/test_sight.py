"""One test per rule of `batching.sight`, and that a choice is the batcher's own."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from batching.batcher import Batcher
from batching.forecast import Forecast
from batching.item import URGENT, Item
from batching.latency import Ran
from batching.limits import Limits
from batching.members import MOST_PASSED_BY
from batching.sight import Sight

ROOM = 2

#: An engine that pads to the longest.
PADS = [
    Ran(size=size, longest=longest, seconds=0.04 + 0.008 * size + 0.011 * longest)
    for size in (1, 4)
    for longest in (1.0, 30.0)
]


def item(
    name: object,
    length: float = 1.0,
    *,
    key: str = "k",
    tenant: str = "",
    deadline_at: float | None = None,
    at: float = 0.0,
) -> Item:
    return Item(id=name, key=key, rank=5, enqueued_at=at, cost=length, tenant=tenant, deadline_at=deadline_at)


def batcher(*held: Item, calibration: list[Ran] = PADS, smallest: int = 1) -> Batcher:
    limits = Limits(max_batch_size=ROOM, min_batch_size=smallest)
    made = Batcher(limits, Forecast(calibration))
    for one in held:
        made.add(one)
    return made


def chosen(made: Batcher, *seen: Item, at: float = 0.0) -> list[object] | None:
    """The names of those that are taken."""
    found = Sight(made).choose(seen, ROOM - len(made), at)
    return None if found is None else [one.id for one in found]


def taken(made: Batcher) -> tuple[Item, ...]:
    batch = made.take(0.0)
    return batch.items if batch else ()


def test_all_are_taken_in_order_if_they_fit() -> None:
    """There is nothing to choose, however different they are (rule 1)."""
    assert chosen(batcher(), item(1, 30.0), item(2, 1.0)) is None


def test_like_are_taken_in_order() -> None:
    """Where nothing tells them apart a choice would cost more than it gains (rule 1)."""
    assert chosen(batcher(), *(item(number) for number in range(6))) is None


def test_lengths_do_not_matter_without_a_forecast() -> None:
    """Nobody knows then what they cost (rule 1)."""
    assert chosen(batcher(calibration=[]), item(1, 1.0), item(2, 30.0), item(3, 1.0)) is None


def test_lengths_do_not_matter_in_short_batches() -> None:
    """What passes between two batches outweighs them (rule 1)."""
    quick = [replace(ran, seconds=ran.seconds / 5) for ran in PADS]
    several = item(1, 1.0), item(2, 30.0), item(3, 1.0)
    assert chosen(batcher(calibration=quick), *several) is None
    assert chosen(batcher(calibration=quick), *several, item(4, 1.0, key="other")) is not None


def test_those_of_like_length_are_taken() -> None:
    """The long one between two short ones stays where anybody may run it (rule 2)."""
    assert chosen(batcher(), item(1, 1.0), item(2, 30.0), item(3, 1.0)) == [1, 3]


def test_those_of_one_key_are_taken() -> None:
    """Requests that cannot share a batch do not fill it up, with or without a forecast (rule 2)."""
    seen = [item(1, key="a"), item(2, key="b"), item(3, key="b"), item(4, key="a")]
    assert chosen(batcher(calibration=[]), *seen) == [1, 4]


def test_tenants_take_turns() -> None:
    """One who sent much at once leaves room for another that is seen behind it (rule 2)."""
    seen = [*(item(number, tenant="greedy") for number in range(3)), item("one", tenant="modest")]
    assert chosen(batcher(), *seen) == [0, "one"]


def test_deadline_goes_first() -> None:
    """Whoever can still be in time is not left behind by those who have all of it (rule 2)."""
    assert chosen(batcher(), item(1), item(2), item(3, deadline_at=0.3)) == [1, 3]


def test_what_is_held_is_part_of_the_choice() -> None:
    """A short one that is here already is completed by the short one, not by the first (rule 2)."""
    assert chosen(batcher(item(0)), item(1, 30.0), item(2, 1.0)) == [2]


def test_no_more_are_taken_than_there_is_room_for() -> None:
    """What is here and does not run next keeps its place: nobody holds more than a batch (rule 2)."""
    assert chosen(batcher(item(0, 30.0)), item(1, 5.0), item(2, 10.0), item(3, 5.0)) == [1]


def test_nothing_is_taken_beside_a_batch_that_is_here() -> None:
    """What would run next by itself needs no company of another length (rule 3)."""
    held = item(0, at=-9.0)
    assert chosen(batcher(held), item(1, 30.0), item(2, 10.0)) == []


def test_a_batch_that_waits_for_company_takes_what_there_is() -> None:
    """It could not run without, so the order decides (rule 3)."""
    seen = [item(1, 30.0), item(2, 10.0)]
    assert chosen(batcher(item(0)), *seen) == []
    assert chosen(batcher(item(0), smallest=2), *seen) is None


def test_first_is_left_behind_only_so_often() -> None:
    """However many suit each other better, then they are taken in order (rule 4)."""
    sight, first = Sight(batcher()), item("long", 30.0)
    for number in range(MOST_PASSED_BY):
        found = sight.choose([first, item(number), item(-1 - number)], ROOM, 0.0)
        assert found is not None
        assert first not in found
    assert sight.choose([first, item("a"), item("b")], ROOM, 0.0) is None


def test_another_first_is_counted_anew() -> None:
    """It was not the one that was left behind before (rule 4)."""
    sight = Sight(batcher())
    for number in range(3 * MOST_PASSED_BY):
        first = item(("long", number // MOST_PASSED_BY), 30.0)
        assert sight.choose([first, item(number), item(-1 - number)], ROOM, 0.0) is not None


def test_more_elsewhere_make_way_for_one_batch_only() -> None:
    """What was chosen runs together, though it is split in two, as ever, if nobody else waits."""
    made = batcher()
    found = Sight(made).choose([item(1, 1.0), item(2, 5.2), item(3, 30.0)], ROOM, 0.0)
    for one in found or ():
        made.add(one)
    assert [one.id for one in taken(made)] == [1, 2]
    made.add(item(4, 1.0))
    made.add(item(5, 5.2))
    assert [one.id for one in taken(made)] == [4]


items = st.builds(
    Item,
    id=st.just(0),
    key=st.sampled_from("ab"),
    rank=st.sampled_from([URGENT, 5, 9]),
    enqueued_at=st.floats(0, 2),
    cost=st.sampled_from([1.0, 4.0, 30.0]),
    deadline_at=st.none() | st.floats(2, 4),
    tenant=st.sampled_from(["", "x", "y"]),
)


@given(
    drawn=st.lists(items, min_size=1, max_size=12),
    held=st.integers(0, 4),
    forecast=st.booleans(),
    smallest=st.integers(1, 2),
)
def test_choice_is_as_if_all_waited_here(drawn: list[Item], held: int, forecast: bool, smallest: int) -> None:
    """What is asked for is what the batcher takes if it is given all; and it stays as it was."""
    came = [replace(one, id=number) for number, one in enumerate(drawn)]
    calibration = PADS if forecast else []
    some = batcher(*came[:held], calibration=calibration, smallest=smallest)
    others = came[held:]
    found = some.among(others, 2.0) if others else None
    everything = batcher(*came, calibration=calibration, smallest=smallest).take(2.0)
    if others:
        assert (found is None) == (everything is None)
        members = [one for one in others if everything is not None and one in everything.items]
        assert (found or []) == members
    assert some.take(2.0) == batcher(*came[:held], calibration=calibration, smallest=smallest).take(2.0)
