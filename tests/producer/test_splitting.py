"""Rule: a recording is cut in its pauses, each audio segment keeps its true place, and no speech is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from producer.loudness import Loudness
from producer.onset import onset
from producer.splitting import (
    FRAME,
    LONG_PAUSE,
    MARGIN,
    Hear,
    Samples,
    Splitter,
    Stretch,
    everything,
    stretches,
)
from protocol.request import MIN_SAMPLES, SAMPLE_RATE

#: What one frame of speech and one of a pause look like to `loud`.
SPEECH, PAUSE = 1_000, 0


def loud(samples: Samples) -> NDArray[np.bool_]:
    """A `Hear` for whom what is not zero is speech."""
    return np.asarray(samples.reshape(-1, FRAME).any(axis=1))


def frames(*lengths: int) -> Samples:
    """So many frames of pause, then of speech, then of pause, and so on; each frame of speech is its own."""
    levels = [SPEECH + at if odd % 2 else PAUSE for odd, n in enumerate(lengths) for at in range(n)]
    return np.repeat(np.array(levels, np.int16), FRAME)


def cut(sound: Samples, *, longest: int = 900, hear: Hear = loud, piece: int = 5_000) -> list[Stretch]:
    """The audio segments of `sound`, at most `longest` frames each, pushed `piece` samples at a time."""
    pieces = (sound[at : at + piece] for at in range(0, len(sound), piece))
    return list(stretches(pieces, Splitter(hear, max_samples=longest * FRAME)))


def places(cuts: list[Stretch]) -> list[tuple[int, int]]:
    """First frame, and the one after the last, of each."""
    return [(one.offset // FRAME, (one.offset + one.n_samples) // FRAME) for one in cuts]


def test_what_is_between_two_long_pauses_is_one_segment_with_a_margin() -> None:
    """A pause of 2 s ends an audio segment; 0.4 s of it stay on each side."""
    cuts = cut(frames(100, 50, LONG_PAUSE, 30, 100))
    assert places(cuts) == [(100 - MARGIN, 150 + MARGIN), (212 - MARGIN, 242 + MARGIN)]
    assert [one.first for one in cuts] == [MARGIN, MARGIN]


def test_a_shorter_pause_stays_inside() -> None:
    """An audio segment holds as much as fits."""
    assert places(cut(frames(0, 50, LONG_PAUSE - 1, 30))) == [(0, 50 + LONG_PAUSE - 1 + 30)]


def test_each_segment_holds_the_sound_of_its_place() -> None:
    """The offset is exact: the samples are those of the recording from there on."""
    sound = frames(7, 300, 5, 200, 90, 150, 3, 80)
    for one in cut(sound, longest=100):
        np.testing.assert_array_equal(one.samples, sound[one.offset : one.offset + one.n_samples])


def test_what_does_not_fit_is_cut_in_the_longest_pause_of_its_second_half() -> None:
    """Not in the earlier pause, longer though it is, nor in the shorter one after it."""
    cuts = cut(frames(0, 20, 20, 20, 10, 10, 4, 60), longest=100)
    assert places(cuts)[0] == (0, 20 + 20 + 20 + 5)


def test_a_long_pause_that_begins_too_late_for_its_margin_is_cut_earlier() -> None:
    """The limit holds, margin included."""
    assert places(cut(frames(0, 95, LONG_PAUSE, 30), longest=100))[0] == (0, 95 + 3)


def test_without_a_pause_the_cut_is_where_it_is_quietest() -> None:
    """Of the last third, that is: an early cut would make parts of nothing."""
    sound = frames(0, 300)
    sound[80 * FRAME : 83 * FRAME] = 10
    sound[20 * FRAME : 23 * FRAME] = 5
    assert places(cut(sound, longest=100))[0] == (0, 81)


def test_fixed_lengths_are_what_they_say() -> None:
    """With everything heard as speech each audio segment is full, but the last."""
    sound = np.zeros(250 * FRAME + 100, np.int16)
    assert [one.n_samples for one in cut(sound, longest=100, hear=everything)] == [
        100 * FRAME,
        100 * FRAME,
        50 * FRAME + 100,
    ]


@pytest.mark.parametrize("sound", [np.empty(0, np.int16), np.zeros(100_000, np.int16)])
def test_silence_has_no_segments(sound: Samples) -> None:
    """Nobody is asked to transcribe nothing."""
    assert cut(sound) == []


def test_a_segment_is_never_too_short_to_be_submitted() -> None:
    """A word that a recording ends with is lengthened with silence; its place is what it was."""
    (only,) = cut(np.full(100, SPEECH, np.int16))
    assert (only.offset, only.n_samples, len(only.samples)) == (0, 100, MIN_SAMPLES)


_SOUND = st.lists(st.integers(0, 80), max_size=8).map(lambda lengths: frames(*lengths))


@settings(max_examples=60)
@given(sound=_SOUND, tail=st.integers(0, FRAME - 1), longest=st.integers(31, 300))
def test_no_speech_is_left_out_and_none_is_in_two_segments(sound: Samples, tail: int, longest: int) -> None:
    """Whatever the recording: in order, apart, not too long, and all that is not a pause is inside."""
    sound = np.concatenate([sound, np.full(tail, SPEECH, np.int16)])
    inside = np.zeros(len(sound), np.int64)
    end = 0
    for one in cut(sound, longest=longest):
        assert one.offset >= end
        assert 0 < one.n_samples <= longest * FRAME
        end = one.offset + one.n_samples
        inside[one.offset : end] += 1
    assert end <= len(sound)
    assert inside[sound != PAUSE].all()


@settings(max_examples=60)
@given(sound=_SOUND, piece=st.integers(500, 60_000))
def test_the_cuts_do_not_depend_on_the_pieces(sound: Samples, piece: int) -> None:
    """The same recording is cut the same way however it is read: its parts keep their ids."""
    assert places(cut(sound, longest=100, piece=piece)) == places(cut(sound, longest=100))


def noise(level: float, seconds: float, seed: int = 1) -> Samples:
    """Noise of so many dB of full scale."""
    drawn = np.random.default_rng(seed).normal(0, 32_768 * 10 ** (level / 20), round(seconds * SAMPLE_RATE))
    return np.clip(drawn, -32_768, 32_767).astype(np.int16)


def speech_share(sound: Samples) -> list[float]:
    """The share of frames heard as speech in each second of `sound`."""
    hear = Loudness()
    seconds = [
        hear(sound[at : at + 32 * FRAME])
        for at in range(0, len(sound) // FRAME // 32 * 32 * FRAME, 32 * FRAME)
    ]
    return [float(second.mean()) for second in seconds]


def test_loudness_hears_speech_above_its_background() -> None:
    """Noise 30 dB below the voice is a pause; the voice is not, from the first second on."""
    share = speech_share(np.concatenate([noise(-65, 4.096), noise(-20, 4.096), noise(-65, 4.096)]))
    assert max(share[:4]) == 0
    assert min(share[4:8]) == 1
    assert max(share[8:]) == 0


def test_loudness_keeps_what_is_nearly_as_loud_as_the_speech() -> None:
    """In a loud room it cannot tell, and then drops nothing."""
    assert min(speech_share(np.concatenate([noise(-20, 4.096), noise(-35, 4.096)]))) == 1


def test_digital_silence_is_silence_however_long() -> None:
    """Whatever came before, and long after it is forgotten."""
    assert max(speech_share(np.concatenate([noise(-20, 1.024), np.zeros(60 * 32_768, np.int16)]))[2:]) == 0


@pytest.mark.parametrize("late", [-1, 0, 2, 5])
@pytest.mark.parametrize("begins", [6_000, 6_100, 6_399])
def test_the_onset_is_found_to_a_few_milliseconds(begins: int, late: int) -> None:
    """Though the detector says it a frame early, or some late, and only to 32 ms."""
    sound = noise(-60, 2.0)
    sound[begins:] += noise(-20, 2.0, seed=2)[begins:]
    assert abs(onset(sound, begins // FRAME + late) - begins) <= SAMPLE_RATE * 0.004


def test_a_soft_beginning_belongs_to_the_word() -> None:
    """As the w of *what*: far above the background, and 36 dB below the vowel that follows it."""
    begins, sound = SAMPLE_RATE, noise(-80, 2.0)
    sound[begins:] += noise(-56, 2.0, seed=2)[begins:]
    sound[begins + 1_600 :] += noise(-20, 2.0, seed=3)[begins + 1_600 :]
    assert abs(onset(sound, (begins + 1_600) // FRAME) - begins) <= SAMPLE_RATE * 0.004


def test_a_closed_mouth_is_no_pause() -> None:
    """As before the t in *the train*: 60 ms of silence inside the first word, and more of it after them."""
    begins, sound = SAMPLE_RATE, noise(-80, 2.0)
    sound[begins:] += noise(-30, 2.0, seed=2)[begins:]
    sound[begins + 1_600 : begins + 2_560] = 0
    assert abs(onset(sound, (begins + 1_600) // FRAME) - begins) <= SAMPLE_RATE * 0.004


def test_a_pause_that_was_cut_is_one_still() -> None:
    """An audio segment that begins 60 ms before speech: half of a short pause went to the one before."""
    begins, sound = 960, noise(-60, 1.0)
    sound[begins:] += noise(-20, 1.0, seed=2)[begins:]
    assert abs(onset(sound, begins // FRAME + 2) - begins) <= SAMPLE_RATE * 0.004


def test_without_a_pause_the_onset_is_what_the_detector_says() -> None:
    """There is nothing to go by."""
    assert onset(noise(-20, 1.0), 5) == 5 * FRAME
