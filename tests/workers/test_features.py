"""Log-mel features: those of faster-whisper, whatever the audio."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from faster_whisper import decode_audio
from faster_whisper.feature_extractor import FeatureExtractor
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol.request import MAX_SAMPLES, MIN_SAMPLES
from workers import demo
from workers.engine.base import Samples
from workers.engine.features import FRAMES_A_PRODUCT, LogMel, filters_of

#: What the transcripts are promised to be equal with.
TOLERANCE = 1e-4

THEIRS = FeatureExtractor()
OURS = LogMel(THEIRS)


def noise(n_samples: int) -> Samples:
    return np.random.default_rng(5).normal(0, 0.1, n_samples).astype(np.float32)


AUDIO = {
    "speech": decode_audio(str(demo.speech()[0].path)),
    "shortest": noise(MIN_SAMPLES),
    "longest": noise(MAX_SAMPLES),
    "silence": np.zeros(48_000, np.float32),
    "a click": np.eye(1, 32_000, 9_000, dtype=np.float32)[0],
    "full scale": np.sign(noise(20_017)),
}


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("name", AUDIO)
def test_features_are_those_of_faster_whisper(name: str, n_mels: int) -> None:
    """Equal in shape and type, and to 1e-4 in every value, for stock Whisper's 80 mels and large-v3's 128."""
    extractor = FeatureExtractor(feature_size=n_mels)
    expected, found = extractor(AUDIO[name]), LogMel(extractor)(AUDIO[name])
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["noise", "tone", "two tones", "sweep", "clicks", "silence, then sound"]),
    n_samples=st.integers(MIN_SAMPLES, 48_000),
    decibels=st.floats(-90.0, 20.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_sound_makes_a_difference(kind: str, n_samples: int, decibels: float, seed: int) -> None:
    """Equal to 1e-4 for pure tones, where the weakest bands are 1e-8 of the strongest, clipped ones, and all
    lengths and levels.
    """
    sound = np.clip(made(kind, n_samples, seed) * 10 ** (decibels / 20), -1, 1).astype(np.float32)
    np.testing.assert_allclose(OURS(sound), THEIRS(sound), rtol=0, atol=TOLERANCE)


def made(kind: str, n_samples: int, seed: int) -> NDArray[np.float64]:
    """A sound of this kind, drawn by `seed`, at most 1 loud."""
    draw, time = np.random.default_rng(seed), np.arange(n_samples) / 16_000
    low, high = draw.uniform(20, 8_000, 2)
    tone, noise = np.sin(2 * np.pi * low * time), draw.uniform(-1, 1, n_samples)
    sounds: dict[str, NDArray[np.float64]] = {
        "noise": noise,
        "tone": tone,
        "two tones": 0.999 * tone + 0.001 * np.sin(2 * np.pi * high * time),
        "sweep": np.sin(2 * np.pi * (low + (high - low) * time) * time),
        "clicks": np.where(noise > 0.998, 1.0, 0.0),
        "silence, then sound": np.where(np.arange(n_samples) < draw.integers(n_samples), 0.0, noise),
    }
    return sounds[kind]


def test_the_samples_are_left_as_they_were() -> None:
    """Features are computed beside the samples, which others may still read."""
    samples = AUDIO["speech"].copy()
    LogMel(FeatureExtractor())(samples)
    assert np.array_equal(samples, AUDIO["speech"])


@pytest.mark.parametrize("n_mels", [80, 128])
def test_no_product_is_large_enough_for_threads_of_openblas(n_mels: int) -> None:
    """262 144 multiplications are computed by the thread that asks (`interface/gemm.c`)."""
    filters = filters_of(FeatureExtractor(feature_size=n_mels).mel_filters)
    assert max(some.weights.size for some in filters) * FRAMES_A_PRODUCT <= 4 * 65_536


def test_threads_compute_beside_each_other() -> None:
    """Each has room of its own for what is not ready yet."""
    sounds = [noise(MAX_SAMPLES), np.cumsum(noise(MAX_SAMPLES)) / 100, *AUDIO.values()] * 4
    alone = [OURS(sound) for sound in sounds]
    with ThreadPoolExecutor(4) as threads:
        for expected, found in zip(alone, threads.map(OURS, sounds), strict=True):
            assert np.array_equal(found, expected)
