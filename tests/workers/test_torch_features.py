"""Log-mel features of a batch on torch: those of faster-whisper, whatever shares the batch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol.request import MAX_SAMPLES, MIN_SAMPLES
from tests.workers.test_features import AUDIO, TOLERANCE, made
from workers.engine.base import Samples

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")

from workers.engine.torch.features import FRAMES_AT_ONCE, TorchLogMel  # noqa: E402 # only where torch is

THEIRS = FeatureExtractor()


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """torch's threads wait for each other where others want the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


OURS = TorchLogMel(THEIRS, "cpu")


def ours(*heard: Samples, log_mel: TorchLogMel = OURS) -> list[Any]:
    return [features.numpy() for features in log_mel(heard)]


@pytest.mark.parametrize("n_mels", [80, 128])
def test_features_of_a_batch_are_those_of_faster_whisper(n_mels: int) -> None:
    """Equal in shape and type, and to 1e-4 in every value, for segments of all lengths beside each other."""
    extractor = FeatureExtractor(feature_size=n_mels)
    found = ours(*AUDIO.values(), log_mel=TorchLogMel(extractor, "cpu"))
    for samples, features in zip(AUDIO.values(), found, strict=True):
        expected = extractor(samples)
        assert features.shape == expected.shape
        assert features.dtype == np.float32
        np.testing.assert_allclose(features, expected, rtol=0, atol=TOLERANCE)


@settings(max_examples=25)
@given(
    kind=st.sampled_from(["noise", "tone", "two tones", "sweep", "clicks", "silence, then sound"]),
    n_samples=st.integers(MIN_SAMPLES, 48_000),
    decibels=st.floats(-90.0, 20.0),
    seed=st.integers(0, 2**32 - 1),
)
@example(kind="tone", n_samples=8_000, decibels=0.0, seed=72)  # 1.8e-4 away in single precision
def test_no_sound_makes_a_difference(kind: str, n_samples: int, decibels: float, seed: int) -> None:
    """Equal to 1e-4 for pure tones too, where single precision is not, at all lengths and levels."""
    sound = np.clip(made(kind, n_samples, seed) * 10 ** (decibels / 20), -1, 1).astype(np.float32)
    np.testing.assert_allclose(ours(sound)[0], THEIRS(sound), rtol=0, atol=TOLERANCE)


@settings(max_examples=20)
@given(
    lengths=st.lists(st.integers(MIN_SAMPLES, 24_000), min_size=1, max_size=6),
    most_frames=st.integers(1, 400),
)
def test_a_row_has_the_features_that_it_has_alone(lengths: list[int], most_frames: int) -> None:
    """To the last bit but one, whatever lies before and after it, and in how many parts the batch is made."""
    heard = [made("noise", length, seed=length).astype(np.float32) for length in lengths]
    together = ours(*heard, log_mel=TorchLogMel(THEIRS, "cpu", most_frames))
    for samples, features in zip(heard, together, strict=True):
        np.testing.assert_allclose(features, ours(samples)[0], rtol=0, atol=2e-7)


def test_no_transform_has_more_frames_than_it_may() -> None:
    """The memory it takes does not grow with the rows of a batch; audio that is longer stands alone."""
    log_mel = TorchLogMel(THEIRS, "cpu", most_frames=250)
    seconds = [1, 1, 1, 4, 1, 1]
    parts = log_mel._parts([np.zeros(length * 16_000, np.float32) for length in seconds])
    assert [[len(samples) // 16_000 for samples in part] for part in parts] == [[1, 1], [1], [4], [1, 1]]


def test_no_segments_have_no_features() -> None:
    """A batch of rows without speech is no error."""
    assert ours() == []


def test_the_longest_and_the_shortest_share_a_transform() -> None:
    """A short segment after a full window has its own frames, and none of what lies before it."""
    longest, shortest = made("noise", MAX_SAMPLES, 1), made("tone", MIN_SAMPLES, 2)
    found = ours(longest.astype(np.float32), shortest.astype(np.float32))
    np.testing.assert_allclose(found[1], THEIRS(shortest.astype(np.float32)), rtol=0, atol=TOLERANCE)


def test_every_transform_has_as_many_frames() -> None:
    """cuFFT makes a plan for each number of them: one for a clip, the longest, and a batch of many."""
    seen: list[int] = []

    class Counting(TorchLogMel):
        def _in_mels_at_once(self, frames: Any) -> Any:
            seen.append(len(frames))
            return super()._in_mels_at_once(frames)

    count = Counting(THEIRS, "cpu")
    for lengths in ((MIN_SAMPLES,), (MAX_SAMPLES,), (20_000,) * 33, (120_000 - 400 + 160,)):
        ours(*(np.zeros(length, np.float32) for length in lengths), log_mel=count)
    assert set(seen) == {FRAMES_AT_ONCE}
