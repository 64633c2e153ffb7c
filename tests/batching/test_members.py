"""One test per rule of `batching.members`, and what a forecast changes in the batcher."""

import pytest

from batching.batch import Batch, Reason
from batching.batcher import PLAN_HOLDS, Batcher
from batching.forecast import FIRST_BATCHES, Forecast
from batching.item import URGENT, Item
from batching.latency import Ran
from batching.limits import Limits
from batching.members import MOST_PASSED_BY

NORMAL, BULK = 5, 9

#: An engine for which lengths do not matter, and one that pads to the longest.
CALL, ROW, SECOND = 0.08, 0.02, 0.05
BY_SIZE = [Ran(size=size, seconds=CALL + ROW * size) for size in (1, 4)]
BY_LENGTH = [
    Ran(size=size, longest=longest, seconds=CALL + ROW * size + SECOND * longest)
    for size in (1, 4)
    for longest in (1.0, 30.0)
]


def item(
    name: object,
    at: float = 0.0,
    *,
    length: float = 1.0,
    rank: int = NORMAL,
    deadline_at: float | None = None,
    tenant: str = "",
) -> Item:
    return Item(
        id=name,
        key="k",
        enqueued_at=at,
        cost=length,
        rank=rank,
        deadline_at=deadline_at,
        tenant=tenant,
    )


def batcher(
    *items: Item,
    largest: int = 4,
    smallest: int = 1,
    calibration: list[Ran] = BY_LENGTH,
    seconds: float = float("inf"),
    urgent_seconds: float = float("inf"),
    tenants: dict[str, float] | None = None,
) -> Batcher:
    limits = Limits(
        max_batch_size=largest,
        min_batch_size=smallest,
        max_batch_seconds=seconds,
        urgent_seconds=urgent_seconds,
        tenant_weights=tenants or {},
    )
    made = Batcher(limits, Forecast(calibration))
    for one in items:
        made.add(one)
    return made


def take(made: Batcher, now: float) -> Batch:
    batch = made.take(now)
    assert batch is not None
    return batch


def names(batch: Batch) -> list[object]:
    return sorted(one.id for one in batch.items)  # type: ignore[type-var]  # ids are of one kind in a test


def test_one_batch_is_halved_to_learn_what_sizes_cost() -> None:
    """Under a load that fills all of them nothing would be known of lengths and deadlines for ever."""
    made, reasons = batcher(calibration=[]), []
    for number in range(0, 4 * FIRST_BATCHES + 24, 4):
        for place in range(4):
            made.add(item(number + place, length=1.0))
        batch = take(made, now=float(number))
        made.ran(batch, CALL + ROW * len(batch))
        reasons.append(batch.reason)
    assert reasons[: FIRST_BATCHES + 1] == [Reason.FULL] * (FIRST_BATCHES + 1)
    assert [*reasons].count(Reason.PROBE) == 1
    assert take(made, now=9999.0).predicted == pytest.approx(CALL + 2 * ROW, rel=0.05)


def test_batch_knows_what_it_should_take() -> None:
    """With a forecast a batch says how long the engine should take; without one it does not."""
    assert take(batcher(item(1, length=2.0)), now=0.0).predicted == pytest.approx(CALL + ROW + 2 * SECOND)
    assert take(batcher(item(1), calibration=[]), now=9.0).predicted is None


def test_padded_audio_is_limited() -> None:
    """Size times longest stays within `max_batch_seconds`, and the reason says so."""
    made = batcher(*(item(number, length=10.0) for number in range(3)), seconds=20.0)
    batch = take(made, now=0.0)
    assert (names(batch), batch.padded, batch.reason) == ([0, 1], 20.0, Reason.SECONDS)


def test_item_beyond_the_limit_runs_by_itself() -> None:
    """One item of more seconds than a batch may hold runs alone, and nothing loops."""
    made = batcher(item("long", length=30.0), item("short", at=0.1), seconds=20.0)
    assert sorted(len(take(made, now=0.1)) for _ in range(2)) == [1, 1]
    assert len(made) == 0


def test_padded_audio_is_limited_without_a_forecast() -> None:
    """First come first served, up to the first that does not fit."""
    made = Batcher(Limits(max_batch_seconds=20.0, min_batch_size=1))
    for one in (item(1, length=5.0), item(2, length=8.0), item(3, length=9.0), item(4, length=1.0)):
        made.add(one)
    assert [names(take(made, now=9.0)) for _ in range(2)] == [[1, 2], [3, 4]]


def test_like_lengths_run_together() -> None:
    """Three short ones do not wait for the padding of a long one; the long one is next (rule 4)."""
    made = batcher(item("long", 0.0, length=30.0), *(item(f"{n}", 0.1, length=2.0) for n in range(3)))
    batch = take(made, now=0.1)
    assert (names(batch), batch.reason) == (["0", "1", "2"], Reason.LENGTHS)
    assert names(take(made, now=0.2)) == ["long"]


def test_lengths_that_cost_nothing_do_not_matter() -> None:
    """An engine that takes as long for long as for short ones serves them as they came (rule 5)."""
    made = batcher(item(0, 0.0, length=30.0), *(item(n, n, length=2.0) for n in (1, 2)), calibration=BY_SIZE)
    assert names(take(made, now=9.0)) == [0, 1, 2]


def test_equal_lengths_go_as_they_came() -> None:
    """Among items of one length no later one goes first (rule 4)."""
    made = batcher(*(item(n, at=n / 10, length=3.0) for n in range(8)), item("x", 2.0, length=9.0))
    assert [one.id for one in take(made, now=2.0).items] == [0, 1, 2, 3]


def test_old_long_item_outweighs_short_ones() -> None:
    """However many short ones come, the age of a long one lets it go before its turn is due (rule 4)."""
    made = batcher(item("long", 0.0, length=30.0))
    for number in range(MOST_PASSED_BY):
        for one in range(4):
            made.add(item((number, one), float(number)))
        if "long" in [one.id for one in take(made, now=float(number)).items]:
            break
    else:
        pytest.fail(f"left behind {MOST_PASSED_BY} times")


def test_shorter_ones_of_a_lower_class_ride_along() -> None:
    """Bulk work that is no longer than the batch fills it; longer bulk work does not (rules 4, 5)."""
    made = batcher(
        item("a", length=5.0),
        item("b", length=5.0),
        item("bulk", rank=BULK, length=4.0),
        item("long", rank=BULK, length=30.0),
    )
    assert names(take(made, now=0.0)) == ["a", "b", "bulk"]


def test_those_that_can_be_in_time_go_first() -> None:
    """An item with a deadline that one more would exceed runs without it (rule 3)."""
    in_time = 2 * ROW + CALL + SECOND + 0.001
    made = batcher(
        item("none", 0.0),
        item("due", 1.0, deadline_at=1.0 + in_time),
        item("too", 1.0, deadline_at=1.0 + in_time),
        item("more", 1.0, deadline_at=5.0),
    )
    batch = take(made, now=1.0)
    assert (names(batch), batch.reason) == (["due", "too"], Reason.DEADLINE)


def test_item_that_cannot_be_in_time_is_demoted() -> None:
    """It is not dropped: it waits behind all others, bulk included, and then runs (rule 3)."""
    made = batcher(
        item("late", 0.0, deadline_at=1.0), *(item(f"{n}", 0.9, rank=BULK) for n in range(4)), largest=4
    )
    assert names(take(made, now=0.95)) == ["0", "1", "2", "3"]
    assert names(take(made, now=1.1)) == ["late"]


def test_demoted_does_not_delay_those_in_time() -> None:
    """Beside items that can be in time there is no place for one that cannot (rule 3)."""
    made = batcher(item("late", 0.0, deadline_at=1.0), item("due", 0.9, deadline_at=5.0))
    assert names(take(made, now=0.99)) == ["due"]


def test_nobody_rides_while_others_could_be_in_time() -> None:
    """One is passed over to save three: no other takes its place, to make it wait for longer (rule 3)."""
    made = batcher(
        item("none", 1.0),
        item("passed", 1.0, deadline_at=1.0 + CALL + ROW + 0.001),
        *(item(f"{n}", 1.0, deadline_at=1.3) for n in range(3)),
        largest=8,
        calibration=BY_SIZE,
    )
    assert names(take(made, now=1.0)) == ["0", "1", "2"]


def test_batch_starts_in_time_for_its_deadline() -> None:
    """Waiting for company ends when one more could still be in time, before the window (B2)."""
    made = batcher(item(1, deadline_at=0.2), smallest=2, calibration=BY_SIZE)
    assert made.wake_at() == pytest.approx(0.2 - CALL - 2 * ROW)


def test_oldest_is_left_behind_a_bounded_number_of_times() -> None:
    """A flood of normal work leaves a bulk item behind so often and no more (rule 1)."""
    made = batcher(item("bulk", rank=BULK, length=9.0), largest=2, calibration=BY_SIZE)
    for number in range(MOST_PASSED_BY + 1):
        for one in range(2):
            made.add(item((number, one), 1.0))
        batch = take(made, now=1.0)
        assert ("bulk" in [one.id for one in batch.items]) == (number == MOST_PASSED_BY)
    assert batch.items[0].id == "bulk"


def test_urgent_batches_stay_short() -> None:
    """Beside an urgent item others ride along only as far as `urgent_seconds` allow (rule 2)."""
    made = batcher(
        item("u", rank=URGENT),
        *(item(f"{n}") for n in range(5)),
        largest=8,
        calibration=BY_SIZE,
        urgent_seconds=CALL + 3 * ROW + 0.001,
    )
    batch = take(made, now=0.0)
    assert (names(batch), batch.reason) == (["0", "1", "u"], Reason.URGENT)


def test_others_keep_their_batches_short_while_urgent_ones_come() -> None:
    """So soon after an urgent item the next batch may take half of `urgent_seconds`, and later any time."""
    made = batcher(
        item("u", rank=URGENT), largest=8, calibration=BY_SIZE, urgent_seconds=2 * (CALL + 2 * ROW) + 0.001
    )
    assert names(take(made, now=0.0)) == ["u"]
    for number in range(4):
        made.add(item(number, 0.1))
    small = take(made, now=0.2)
    assert (names(small), small.reason) == ([0, 1], Reason.CALM)
    for number in range(4, 8):
        made.add(item(number, 0.3))
    assert len(take(made, now=60.0)) == 6


def test_tenants_take_turns() -> None:
    """A tenant with a hundred waiting leaves half of the batch to one with a few (rule 5)."""
    made = batcher(
        *(item(("flood", n), n / 1000, tenant="flood") for n in range(100)),
        *(item(("few", n), 1.0, tenant="few") for n in range(2)),
        calibration=BY_SIZE,
    )
    assert names(take(made, now=1.0)) == [("few", 0), ("few", 1), ("flood", 0), ("flood", 1)]


def after_bursts_of_two() -> Batcher:
    """Forty bursts, 10 s apart, with 10 ms between their two items, have run."""
    made = batcher(calibration=BY_SIZE, largest=8)
    for burst in range(40):
        for number in range(2):
            made.add(item((burst, number), 10.0 * burst + 0.01 * number))
        take(made, now=10.0 * burst + 5)
    return made


def test_rest_of_a_burst_is_waited_for() -> None:
    """After enough bursts of two the first is held for the second, and nobody for a third (rule 7)."""
    made = after_bursts_of_two()
    made.add(item("first", 1000.0))
    assert made.take(1000.0) is None
    assert made.wake_at() == pytest.approx(1000.01)
    made.add(item("second", 1000.01))
    assert names(take(made, now=1000.01)) == ["first", "second"]


def test_burst_that_stays_away_is_not_waited_for_longer() -> None:
    """When the gap that was learnt has passed, the batch starts, and says what it waited for (rule 7)."""
    made = after_bursts_of_two()
    made.add(item("first", 1000.0))
    assert made.take(1000.0) is None
    wake_at = made.wake_at()
    assert wake_at is not None
    assert take(made, now=wake_at).reason is Reason.BURST


def test_choice_made_ahead_is_kept() -> None:
    """Who was in time when the batch was chosen is in it, if the engine is free about then (rule 8)."""
    hasty, calm = item("hasty", deadline_at=CALL + ROW + SECOND + PLAN_HOLDS / 2), item("calm")
    planned, late = batcher(hasty, calm, largest=1), batcher(hasty, calm, largest=1)
    for made in (planned, late):
        made.plan(0.0)
    assert names(take(planned, now=PLAN_HOLDS)) == ["hasty"]
    assert names(take(late, now=2 * PLAN_HOLDS)) == ["calm"]
