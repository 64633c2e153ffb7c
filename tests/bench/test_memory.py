"""`segue bench memory`: what counts as growth, and that both kinds of weighing weigh something."""

from __future__ import annotations

from functools import partial

import pytest

from bench.apart import Apart
from bench.memory import OfRows, OverBatches, one_batch, over_batches


def test_a_row_takes_its_part_of_what_was_added() -> None:
    """What the model and its libraries take is no row's."""
    found = OfRows(context="full", seconds=2.0, rows=8, loaded_bytes=100, bytes=180)
    assert found.bytes_a_row == 10


def test_what_grows_before_the_warm_up_ends_is_no_growth() -> None:
    """The largest batch so far decides how large the process is."""
    assert OverBatches(looks=[(500, 50), (1_000, 100), (2_000, 104)]).growth == pytest.approx(0.04)
    assert OverBatches(looks=[(500, 50), (1_000, 100), (2_000, 104)]).is_flat


def test_growth_beyond_five_percent_is_no_longer_flat() -> None:
    """Even if it is gone again at the end."""
    assert not OverBatches(looks=[(1_000, 100), (1_500, 106), (2_000, 100)]).is_flat


def test_a_short_run_has_its_last_look() -> None:
    """A run that ends before the warm-up says so little as to be flat."""
    assert OverBatches(looks=[(10, 50), (20, 60)]).growth == 0


@pytest.mark.timeout(300)
def test_a_process_is_weighed() -> None:
    """Rows have come to the model and its libraries; and batches are run in equal parts."""
    with Apart() as process:
        found = process.run(partial(one_batch, "bucketed", 30.0, 2)).answer
    assert found.loaded_bytes > 10**7
    assert found.bytes_a_row > 10**6
    assert [batches for batches, _ in over_batches(2).looks] == [1, 2]
