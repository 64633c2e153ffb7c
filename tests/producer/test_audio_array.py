"""Sound in NumPy arrays: any sensible type, shape, order and rate, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from producer.audio import read_audio
from producer.sound import MAX_PEAK
from protocol.errors import RequestError

RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000)


def tone(seconds: float = 0.5, rate: int = 16_000) -> NDArray[np.float64]:
    """300 Hz at half of full scale, float64 ``[n_samples]``."""
    times = np.arange(round(seconds * rate), dtype=np.float64) / rate
    return np.sin(2 * np.pi * 300 * times, dtype=np.float64) / 2


def heard(array: NDArray[Any], rate: int | None = None) -> NDArray[np.float64]:
    """The samples that `array` became, back on the scale −1..1."""
    return read_audio(array, sample_rate=rate).samples / 32_768


@pytest.mark.parametrize("rate", RATES)
def test_every_sensible_rate_becomes_16_khz(rate: int) -> None:
    """A tone stays the same tone, up to the filter's edges, and both ways to say the rate agree."""
    samples = heard(tone(0.5, rate), rate)
    assert len(samples) == pytest.approx(8_000, abs=1)
    np.testing.assert_allclose(samples[400:7_600], tone()[400:7_600], atol=2e-3)
    np.testing.assert_array_equal(read_audio((tone(0.5, rate), rate)).samples / 32_768, samples)


def test_what_16_khz_cannot_hold_is_filtered_out() -> None:
    """A tone above 8 kHz vanishes (below −80 dB) instead of coming back as another tone."""
    high = np.sin(2 * np.pi * 12_000 / 48_000 * np.arange(24_000) + 1)
    assert np.abs(heard(high, 48_000)[400:7_600]).max() < 1e-4


@pytest.mark.parametrize("rate", RATES)
def test_thirty_seconds_are_480_000_samples_at_every_rate(rate: int) -> None:
    """The limit is met exactly at any rate, and 10 ms more are too long."""
    assert len(read_audio(np.zeros(30 * rate, np.int16), sample_rate=rate).samples) == 480_000
    with pytest.raises(RequestError) as refused:
        read_audio(np.zeros(30 * rate + rate // 100, np.int16), sample_rate=rate)
    assert refused.value.code == "TOO_LONG"


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [
        ("u1", 1 / 128),
        ("i2", 0),
        ("i4", 0),
        ("f2", 1e-3),
        ("f4", 0),
        ("f8", 0),
        (">i2", 0),
        (">f4", 0),
        ("<f8", 0),
    ],
)
def test_every_type_of_sample_is_brought_to_one_scale(kind: str, tolerance: float) -> None:
    """Integers count from their own full scale, floats from 1, in either byte order."""
    expected = np.rint(tone() * 32_768)
    dtype = np.dtype(kind)
    scale = {"u": 128, "i": 2.0 ** (8 * dtype.itemsize - 1), "f": 1}[dtype.kind]
    array = (expected / 32_768 * scale + (128 if dtype.kind == "u" else 0)).astype(dtype)
    np.testing.assert_allclose(heard(array), expected / 32_768, atol=tolerance, rtol=0)


@pytest.mark.parametrize("order", ["channels last", "channels first"])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_channels_are_averaged_whichever_axis_they_are(channels: int, order: str) -> None:
    """The shorter axis holds the channels, and their mean is what is heard."""
    loudness = np.linspace(0.2, 1.0, channels)
    array = tone()[:, np.newaxis] * loudness
    samples = heard(array if order == "channels last" else array.T)
    np.testing.assert_allclose(samples, tone() * loudness.mean(), atol=1 / 32_768)


def test_views_are_read_as_what_they_show() -> None:
    """Strided and reversed views are as good as contiguous arrays."""
    wide = np.repeat(tone(), 3)
    np.testing.assert_array_equal(heard(wide[::3]), heard(tone()))
    np.testing.assert_array_equal(heard(tone()[::-1])[::-1], heard(tone()))


def test_samples_are_a_snapshot() -> None:
    """What the caller does to the array afterwards changes nothing."""
    array = np.full(8_000, 1_000, np.int16)
    samples = read_audio(array).samples
    array[:] = 0
    assert samples.flags.c_contiguous
    assert set(samples) == {1_000}


def test_moderate_overshoot_is_normalised_with_a_warning() -> None:
    """Floats that peak between 1 and 8 are divided by their peak, and the warning names it."""
    audio = read_audio(tone() * 2 * 2.5)
    assert np.abs(audio.samples).max() in (32_767, 32_768)
    assert audio.warnings == ("the samples peak at 2.5: divided by that to fit −1..1",)
    assert len(read_audio(np.full(8_000, MAX_PEAK, np.float32)).warnings) == 2, "and it is clipped"


def test_full_scale_is_not_overshoot() -> None:
    """A float peak of exactly 1 is left alone, and becomes the largest int16."""
    array = tone()
    array[4_000] = 1.0
    audio = read_audio(array)
    assert audio.samples[4_000] == 32_767
    assert audio.warnings == ()


def test_clipped_sound_is_accepted_with_a_warning() -> None:
    """A recording that sits at full scale is transcribed as well as can be, and the caller told."""
    audio = read_audio(np.full(8_000, -32_768, np.int16))
    assert audio.warnings == ("100% of the samples are at full scale: clipped?",)


def test_samples_are_rounded_to_the_nearest_int16() -> None:
    """Half a step of int16 is the most that any sample is off, on either side of zero."""
    assert set(read_audio(np.full(8_000, 0.6 / 32_768)).samples) == {1}
    assert set(read_audio(np.full(8_000, -0.6 / 32_768)).samples) == {-1}


def test_denormals_are_silence() -> None:
    """Floats too small for int16 become zeros."""
    assert not heard(np.full(8_000, 1e-310)).any()
    assert not heard(np.full(8_000, 1e-40, np.float32)).any()


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.zeros(8_000, bool), "BAD_ARRAY"),
        (np.zeros(8_000, np.int8), "BAD_ARRAY"),
        (np.zeros(8_000, np.int64), "BAD_ARRAY"),
        (np.zeros(8_000, np.complex64), "BAD_ARRAY"),
        (np.zeros(8_000, object), "BAD_ARRAY"),
        (np.zeros(8_000, "U1"), "BAD_ARRAY"),
        (np.zeros(8_000, "M8[s]"), "BAD_ARRAY"),
        (np.zeros(8_000, [("left", "i2"), ("right", "i2")]), "BAD_ARRAY"),
        (np.zeros((), np.float32), "BAD_ARRAY"),
        (np.zeros((8_000, 2, 1), np.float32), "BAD_ARRAY"),
        (np.zeros((2, 2), np.float32), "BAD_ARRAY"),
        (np.zeros((8_000, 9), np.float32), "BAD_CHANNELS"),
        (np.zeros(0, np.float32), "AUDIO_EMPTY"),
        (np.zeros((2, 0), np.float32), "AUDIO_EMPTY"),
        (np.zeros(1, np.float32), "TOO_SHORT"),
        (np.zeros(799, np.float32), "TOO_SHORT"),
        (np.zeros(480_001, np.float32), "TOO_LONG"),
        (np.full(8_000, 8.01, np.float32), "SAMPLES_OUT_OF_RANGE"),
        (np.full(8_000, 3e38, np.float32), "SAMPLES_OUT_OF_RANGE"),
        (np.full(8_000, -1e300), "SAMPLES_OUT_OF_RANGE"),
    ],
    ids=lambda value: f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else None,
)
def test_other_arrays_are_refused(array: NDArray[Any], code: str) -> None:
    """A type or shape that could mean several things, and sound that cannot be, get an error that says so."""
    with pytest.raises(RequestError) as refused:
        read_audio(array)
    assert refused.value.code == code


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_the_first_sample_that_is_no_number_is_named(value: float, kind: type[np.floating[Any]]) -> None:
    """NaN and infinity are refused, and the error tells which sample to look at."""
    array = np.zeros((8_000, 2), kind)
    array[4_321, 1] = array[5_000, 0] = value
    with pytest.raises(RequestError, match="sample 4321 is") as refused:
        read_audio(array)
    assert refused.value.code == "NON_FINITE_SAMPLES"


@pytest.mark.parametrize(
    "rate", [0, -16_000, 1, 7_999, 192_001, 4_294_967_295, 16_000.0, "16000", True, float("nan")]
)
def test_absurd_rates_are_refused(rate: Any) -> None:
    """A rate outside 8 to 192 kHz, or that is no whole number, is refused before anything is resampled."""
    with pytest.raises(RequestError, match="8000 to 192000") as refused:
        read_audio(np.zeros(8_000, np.int16), sample_rate=rate)
    assert refused.value.code == "BAD_SAMPLE_RATE"


def test_numpy_integers_are_rates_too() -> None:
    """Other libraries hand the rate over as a NumPy scalar."""
    rate: Any = np.int32(8_000)
    assert len(read_audio((np.zeros(8_000, np.int16), rate)).samples) == 16_000


@pytest.mark.parametrize(
    "pair",
    [(16_000, np.zeros(8_000)), (np.zeros(8_000),), (np.zeros(8_000), 16_000, 2), (b"RIFF", 16_000)],
    ids=["turned round", "alone", "three", "bytes"],
)
def test_a_pair_is_an_array_and_its_rate(pair: Any) -> None:
    """Any other tuple is refused rather than guessed at."""
    with pytest.raises(RequestError) as refused:
        read_audio(pair)
    assert refused.value.code == "BAD_ARRAY"


def test_the_rate_is_said_once() -> None:
    """A pair and a sample_rate beside it might disagree."""
    with pytest.raises(RequestError) as refused:
        read_audio((np.zeros(8_000, np.int16), 16_000), sample_rate=8_000)
    assert refused.value.code == "BAD_ARRAY"


@pytest.mark.parametrize("peak", [1_000, 32_767, 32_768])
def test_samples_that_need_no_work_are_as_those_that_do(peak: int) -> None:
    """16 kHz mono int16 takes a short cut, to the same samples and the same warnings, in any strides."""
    array = np.random.default_rng(peak).integers(-peak, peak, 8_000, np.int16)
    array[::20] = -peak
    for view in (array, array[::2], array[::-1]):
        short, long = read_audio(view), read_audio(view, sample_rate=16_000)
        np.testing.assert_array_equal(short.samples, long.samples)
        assert short.warnings == long.warnings
        assert short.samples.flags.c_contiguous
        assert not np.shares_memory(short.samples, array)
