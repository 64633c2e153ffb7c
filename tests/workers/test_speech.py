"""Silero: silence is cut out before the engine, times are restored, and what nobody said is not text."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from faster_whisper import decode_audio
from numpy.typing import NDArray

from protocol.options import Options
from tests.whisper_options import for_whisper
from workers import demo
from workers.engine.base import Heard, Samples
from workers.engine.context import Wish
from workers.engine.faster_whisper import FasterWhisperEngine

#: Lengths at which the demo model invents sentences, in seconds; the encoder's context changes with them.
LENGTHS = (0.05, 0.2, 0.5, 1.0, 3.0, 12.0, 30.0)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * 16_000), np.float32)


def white_noise(seconds: float) -> Samples:
    return np.random.default_rng(1).normal(0, 0.05, round(seconds * 16_000)).astype(np.float32)


def loud_noise(seconds: float) -> Samples:
    """20 dB below full scale; 10 dB louder, and even Silero hears a voice in one of ten."""
    return 2 * white_noise(seconds)


def pink_noise(seconds: float) -> Samples:
    spectrum = np.fft.rfft(white_noise(seconds))
    samples: NDArray[np.float64] = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))))
    pink: Samples = (0.05 * samples / samples.std()).astype(np.float32)
    return pink


def hum(seconds: float) -> Samples:
    """Mains: 50 Hz and two of its harmonics."""
    phase = 2 * np.pi * 50 * np.arange(round(seconds * 16_000)) / 16_000
    return (0.1 * (np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.3 * np.sin(3 * phase))).astype(np.float32)


Sound = Callable[[float], Samples]


def loaded(context: Wish) -> FasterWhisperEngine:
    engine = FasterWhisperEngine(
        "demo", device="cpu", compute_type="float32", cpu_threads=1, audio_context=context
    )
    engine.load()
    return engine


@pytest.fixture(scope="module")
def full() -> FasterWhisperEngine:
    return loaded("full")


@pytest.fixture(scope="module")
def bucketed() -> FasterWhisperEngine:
    return loaded("bucketed")


@pytest.fixture(params=["full", "bucketed"])
def engine(request: pytest.FixtureRequest) -> FasterWhisperEngine:
    chosen: FasterWhisperEngine = request.getfixturevalue(request.param)
    return chosen


def heard(engine: FasterWhisperEngine, *asked: tuple[Samples, Options]) -> list[Heard]:
    outcomes = engine.run([engine.prepare(samples, options) for samples, options in asked])
    assert all(isinstance(outcome, Heard) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Heard)]


@pytest.mark.parametrize("sound", [silence, white_noise, loud_noise])
def test_nothing_is_invented_of_silence_and_noise(engine: FasterWhisperEngine, sound: Sound) -> None:
    """Whatever the model makes of them, the transcript is empty and says that nobody spoke."""
    options = Options(beam_size=1)
    for outcome in heard(engine, *((sound(seconds), options) for seconds in LENGTHS)):
        assert (outcome.text, outcome.segments, outcome.no_speech) == ("", (), True)


@pytest.mark.parametrize("sound", [silence, white_noise, loud_noise, pink_noise, hum])
def test_audio_without_speech_does_not_reach_the_engine(engine: FasterWhisperEngine, sound: Sound) -> None:
    """With `vad_filter`: no window, no language, no text, also of sounds the model takes for speech."""
    options = Options(vad_filter=True)
    assert engine.prepare(sound(3.0), options).features.shape == (1, 1)
    for outcome in heard(engine, *((sound(seconds), options) for seconds in LENGTHS)):
        assert (outcome.text, outcome.language, outcome.language_probability) == ("", "", 0.0)
        assert outcome.no_speech


def test_speech_is_never_taken_for_silence(engine: FasterWhisperEngine) -> None:
    """Packaged clips of each language, with `vad_filter` and without."""
    samples = [decode_audio(str(clip.path)) for clip in demo.speech()[::15]]
    for vad_filter in (True, False):
        options = Options(beam_size=1, vad_filter=vad_filter)
        assert not any(outcome.no_speech for outcome in heard(engine, *((one, options) for one in samples)))


@pytest.mark.parametrize(
    ("words", "parameters"), [(True, None), (False, {"min_silence_duration_ms": 300, "speech_pad_ms": 100})]
)
def test_times_are_those_of_the_whole_audio(
    full: FasterWhisperEngine, words: bool, parameters: dict[str, float] | None
) -> None:
    """Clips with long silence between them: text and times are faster-whisper's own with the same options."""
    english = [decode_audio(str(clip.path)) for clip in demo.speech() if clip.language == "en"][:3]
    options = Options(
        language="en",
        beam_size=1,
        temperature=0.0,
        vad_filter=True,
        vad_parameters=parameters,
        word_timestamps=words,
    )
    asked = [
        np.concatenate([silence(gap), english[0], silence(3.0), english[nth], silence(gap)])
        for nth, gap in enumerate((0.5, 4.0), start=1)
    ]
    for samples, outcome in zip(asked, heard(full, *((one, options) for one in asked)), strict=True):
        alone, _ = full._whisper.transcribe(samples, **for_whisper(options))
        assert [timed(segment) for segment in outcome.segments] == [timed(segment) for segment in alone]
        assert outcome.segments[-1].end > 5.0


def timed(segment: Any) -> tuple[Any, ...]:
    words = [(word.start, word.end, word.word) for word in segment.words or ()]
    return segment.start, segment.end, segment.text, words
