"""How sizes are limited, and how they follow memory."""

import pytest

from batching.limits import CLEAN_BATCHES_TO_GROW, MOST_CUT, Limits, SizeCap


@pytest.mark.parametrize(("smallest", "largest"), [(0, 8), (9, 8), (1, 0)])
def test_limits_that_contradict_are_refused(smallest: int, largest: int) -> None:
    """`1 <= min_batch_size <= max_batch_size`, and the error names both."""
    with pytest.raises(ValueError, match=f"min_batch_size is {smallest}.*{largest}"):
        Limits(max_batch_size=largest, min_batch_size=smallest)


def test_negative_window_is_refused() -> None:
    """A window is a length of time."""
    with pytest.raises(ValueError, match="max_batch_wait is -1"):
        Limits(max_batch_wait=-1.0)


def test_out_of_memory_halves_the_size() -> None:
    """A batch of 8 that did not fit makes the next ones 4, then 2, never below 1."""
    cap = SizeCap(16)
    for failed, left in [(8, 4), (4, 2), (2, 1), (1, 1)]:
        cap.shrink("k", failed)
        assert cap.of("k") == left


def test_out_of_memory_never_raises_the_size() -> None:
    """A late report about a larger batch does not undo a smaller cap."""
    cap = SizeCap(16)
    cap.shrink("k", 4)
    cap.shrink("k", 16)
    assert cap.of("k") == 2


def test_size_regrows_one_by_one_up_to_the_setting() -> None:
    """Every `CLEAN_BATCHES_TO_GROW` clean batches give one more, and never more than was set."""
    cap = SizeCap(4)
    cap.shrink("k", 4)
    sizes = []
    for _ in range(5):
        sizes.append(cap.of("k"))
        for _ in range(CLEAN_BATCHES_TO_GROW):
            assert cap.of("k") == sizes[-1]
            cap.ran_clean("k")
    assert sizes == [2, 3, 4, 4, 4]


def test_growth_starts_anew_with_an_out_of_memory() -> None:
    """Clean batches before a cut do not count for the next growth."""
    cap = SizeCap(8)
    cap.shrink("k", 8)
    for _ in range(CLEAN_BATCHES_TO_GROW - 1):
        cap.ran_clean("k")
    cap.shrink("k", 4)
    cap.ran_clean("k")
    assert cap.of("k") == 2


def test_keys_are_cut_apart() -> None:
    """What does not fit with one key says nothing of another; the guess for the next is the latest's."""
    cap = SizeCap(8)
    cap.shrink("beam", 8)
    assert (cap.of("beam"), cap.of("greedy"), cap.size) == (4, 8, 4)
    cap.ran_clean("greedy")
    assert (cap.of("beam"), cap.of("greedy"), cap.size) == (4, 8, 8)


def test_number_of_cut_keys_is_bounded() -> None:
    """The key that was cut longest ago may again be as large as is set."""
    cap = SizeCap(8)
    for number in range(MOST_CUT):
        cap.shrink(number, 8)
    cap.shrink(0, 4)
    cap.shrink("one more", 8)
    assert (cap.of(0), cap.of(1), cap.of(2)) == (2, 8, 4)
