"""Who makes the features that are compared, run for real over a stretch or two."""

import numpy as np
import pytest

from bench.mel import MAKERS, Maker, frames_of, makers, stretches
from tests.bench.test_engine import Noting


@pytest.mark.parametrize("maker", MAKERS)
def test_every_maker_makes_all_frames(maker: Maker) -> None:
    """The same work is compared: a frame each 10 ms of each stretch, and the one that is not heard."""
    assert frames_of(maker, 2) == 2 * 3_001


def test_no_two_stretches_are_the_same() -> None:
    """Thirty seconds each, and nothing that was computed for one serves another."""
    one, other = stretches(2)
    assert len(one) == len(other) == 480_000
    assert not np.array_equal(one, other)


def test_what_is_ours_is_made_apart() -> None:
    """OpenBLAS's threads, which faster-whisper's extractor starts, spin in no process of ours."""
    theirs, ours = Noting(), Noting()
    ready = makers(theirs, ours, 1)
    assert [ready[maker]().answer for maker in MAKERS] == [3_001] * 3
    assert theirs.ran == [stretches, frames_of]
    assert ours.ran == [stretches, frames_of, frames_of]
