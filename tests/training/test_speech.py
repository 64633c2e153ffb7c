"""What is made of a voice before it is stored."""

from random import Random

import numpy as np
import pytest

from training.speech import ACCENTS, MARGIN, PITCHES, SPEEDS, Voice, trim


def test_silence_at_the_edges_is_trimmed_to_ten_milliseconds() -> None:
    """A clip begins and ends with its speech, but for 10 ms of quiet on each side."""
    samples = np.zeros(16_000, np.float32)
    samples[5_000:9_000] = 0.5
    assert MARGIN == 160
    assert np.array_equal(trim(samples), samples[4_840:9_160])


def test_speech_that_fills_the_clip_is_left_whole() -> None:
    """Where there is no silence, nothing is cut."""
    samples = np.ones(1_000, np.float32)
    assert len(trim(samples)) == 1_000


@pytest.mark.parametrize("length", [0, 1000])
def test_a_voice_that_says_nothing_is_refused(length: int) -> None:
    """Silence has no text, so it must not become a clip; the error says how long it was."""
    with pytest.raises(ValueError, match=f"nothing is heard in {length} samples"):
        trim(np.zeros(length, np.float32))


@pytest.mark.parametrize("language", ACCENTS)
def test_voices_stay_within_their_ranges(language: str) -> None:
    """Accent, speed and pitch are drawn from what the recipe names."""
    rng = Random(1)
    voices = [Voice.drawn(language, rng) for _ in range(500)]
    assert {voice.name.split("+")[0] for voice in voices} == set(ACCENTS[language])
    assert all(SPEEDS[0] <= voice.speed <= SPEEDS[1] for voice in voices)
    assert all(PITCHES[0] <= voice.pitch <= PITCHES[1] for voice in voices)
