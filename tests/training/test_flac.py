"""Clips on disk."""

from pathlib import Path

import av
import numpy as np
import pytest

from training.flac import as_floats, read_flac, write_flac


def test_samples_survive_the_disk(tmp_path: Path) -> None:
    """FLAC loses nothing: every sample comes back, the extremes too."""
    samples = np.random.default_rng(1).integers(-32_768, 32_768, 12_345).astype(np.int16)
    write_flac(tmp_path / "clip.flac", samples)
    assert np.array_equal(read_flac(tmp_path / "clip.flac"), samples)


def test_another_rate_is_refused(tmp_path: Path) -> None:
    """Features are of 16 kHz sound; a file at another rate is named, not trained on at the wrong speed."""
    path = tmp_path / "telephone.flac"
    with av.open(path, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=8_000, layout="mono", format="s16")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match=r"telephone\.flac: 8000 Hz"):
        read_flac(path)


def test_full_scale_is_one() -> None:
    """int16 becomes float32 from −1 to just under 1."""
    floats = as_floats(np.array([-32_768, 0, 16_384], np.int16))
    assert floats.dtype == np.float32
    assert floats.tolist() == [-1.0, 0.0, 0.5]
