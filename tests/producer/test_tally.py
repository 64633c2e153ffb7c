"""Rule: the receipts of a recording's parts add up to one, which says nothing that they do not."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.tally import Tally
from protocol.transcript import Timings

FIRST = Timings(
    queued=0.5,
    prepared=0.1,
    engine=1.0,
    total=2.0,
    batch_id="w@a/1",
    batch_size=2,
    batch_position=0,
    batch_reason="window",
    attempts=1,
    worker="w@a",
    predicted=0.9,
    batch_wait=0.25,
    submitted_at=1_000.0,
)
BESIDE = replace(FIRST, batch_position=1, submitted_at=1_000.25, queued=0.25, total=1.75, batch_wait=0.125)
ELSEWHERE = replace(
    FIRST,
    batch_id="v@b/7",
    worker="v@b",
    batch_size=8,
    submitted_at=1_003.0,
    total=4.0,
    engine=2.5,
    attempts=3,
)


def whole(*receipts: Timings) -> Timings:
    tally = Tally()
    for receipt in receipts:
        tally.add(receipt)
    found = tally.whole()
    assert found is not None
    return found


def test_before_a_part_has_ended_there_is_none() -> None:
    """Nobody knows anything yet."""
    assert Tally().whole() is None


def test_one_part_is_the_whole() -> None:
    """Its receipt, and the counts."""
    assert whole(FIRST) == replace(FIRST, parts=1, batches=1, workers=1)


def test_total_goes_from_the_first_submit_until_the_last_part_ended() -> None:
    """Not the sum: parts are on their way side by side, and the last one submitted may end earlier."""
    assert whole(FIRST, BESIDE).total == 2.0
    assert whole(FIRST, ELSEWHERE).total == 7.0
    assert whole(replace(FIRST, total=60.0), ELSEWHERE).total == 60.0
    assert whole(FIRST, ELSEWHERE).submitted_at == 1_000.0


def test_queued_is_that_of_the_part_that_was_submitted_first() -> None:
    """So long nothing happened; how long later parts waited is no wait of the recording's."""
    found = whole(ELSEWHERE, replace(BESIDE, queued=9.0), FIRST)
    assert (found.queued, found.batch_wait) == (0.5, 0.25)


def test_a_batch_that_several_parts_shared_counts_once() -> None:
    """The engine worked once for both of them."""
    found = whole(FIRST, BESIDE, ELSEWHERE)
    assert (found.prepared, found.engine, found.predicted) == (0.2, 3.5, 1.8)
    assert (found.parts, found.batches, found.workers) == (3, 2, 2)


def test_a_worker_that_was_started_again_counts_its_batches_anew() -> None:
    """Two batches of one name are two."""
    found = whole(FIRST, replace(FIRST, engine=0.75, submitted_at=1_500.0))
    assert (found.engine, found.batches, found.workers) == (1.75, 2, 1)


def test_what_the_parts_do_not_have_in_common_is_empty() -> None:
    """It would be one part's, and pass for the whole's."""
    found = whole(FIRST, BESIDE)
    assert (found.batch_id, found.batch_size, found.batch_position, found.worker) == ("w@a/1", 2, 0, "w@a")
    found = whole(FIRST, ELSEWHERE, replace(FIRST, batch_position=1))
    assert (found.batch_id, found.batch_size, found.batch_position, found.worker) == ("", 0, 0, "")
    assert found.batch_reason == "window"


def test_attempts_are_those_of_the_part_that_needed_most() -> None:
    """1 if nothing had to be done again."""
    assert whole(FIRST, BESIDE).attempts == 1
    assert whole(ELSEWHERE, FIRST).attempts == 3


def test_what_one_batch_does_not_tell_is_not_known_of_the_whole() -> None:
    """A sum without it would be too small."""
    assert whole(FIRST, replace(ELSEWHERE, predicted=None)).predicted is None


def test_receipts_that_do_not_say_when_still_have_a_length() -> None:
    """At least the longest of them."""
    found = whole(replace(FIRST, submitted_at=None), replace(ELSEWHERE, submitted_at=None))
    assert (found.submitted_at, found.total) == (None, 4.0)
    assert whole(replace(FIRST, submitted_at=None, total=30.0), ELSEWHERE).total == 30.0


@given(
    st.lists(
        st.builds(
            lambda batch, at, engine: replace(
                FIRST, batch_id=f"w@a/{batch}", submitted_at=at, engine=engine, queued=at / 7
            ),
            st.integers(1, 3),
            st.floats(1e9, 2e9),
            st.floats(0, 60),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_the_order_in_which_parts_end_changes_nothing(receipts: list[Timings]) -> None:
    """To the last bit: whoever collects a recording has the same receipt."""
    assert len({whole(*order) for order in permutations(receipts)}) == 1


def test_memory_grows_with_the_batches_alone() -> None:
    """Receipts are counted and let go: 24 h in parts of a second, eight to a batch, are 11 000 batches."""
    tally = Tally()
    tracemalloc.start()
    for number in range(86_400):
        tally.add(
            replace(FIRST, batch_id=f"w@a/{number // 8}", submitted_at=1e9 + number, engine=number // 8 / 9)
        )
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 5_000_000


@pytest.mark.parametrize("missing", ["submitted_at", "predicted", "batch_wait"])
def test_what_may_be_unknown_stays_unknown(missing: str) -> None:
    """None is not 0."""
    assert getattr(whole(replace(FIRST, **{missing: None})), missing) is None  # type: ignore[arg-type]
