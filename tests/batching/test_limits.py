"""How sizes are limited, and how they follow memory."""

import pytest

from batching.limits import CLEAN_BATCHES_TO_GROW, Limits, SizeCap


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
        cap.shrink(failed)
        assert cap.size == left


def test_out_of_memory_never_raises_the_size() -> None:
    """A late report about a larger batch does not undo a smaller cap."""
    cap = SizeCap(16)
    cap.shrink(4)
    cap.shrink(16)
    assert cap.size == 2


def test_size_regrows_one_by_one_up_to_the_setting() -> None:
    """Every `CLEAN_BATCHES_TO_GROW` clean batches give one more, and never more than was set."""
    cap = SizeCap(4)
    cap.shrink(4)
    for _ in range(CLEAN_BATCHES_TO_GROW - 1):
        cap.ran_clean()
    assert cap.size == 2
    cap.ran_clean()
    assert cap.size == 3
    for _ in range(10 * CLEAN_BATCHES_TO_GROW):
        cap.ran_clean()
    assert cap.size == 4
