"""Log-mel features: those of faster-whisper, whatever the audio."""

import numpy as np
import pytest
from faster_whisper import decode_audio
from faster_whisper.feature_extractor import FeatureExtractor

from protocol.request import MAX_SAMPLES, MIN_SAMPLES
from workers import demo
from workers.engine.base import Samples
from workers.engine.features import LogMel

#: What the transcripts are promised to be equal with.
TOLERANCE = 1e-4


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


def test_the_samples_are_left_as_they_were() -> None:
    """Features are computed beside the samples, which others may still read."""
    samples = AUDIO["speech"].copy()
    LogMel(FeatureExtractor())(samples)
    assert np.array_equal(samples, AUDIO["speech"])
