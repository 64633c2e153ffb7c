"""Shortened windows, on the packaged speech: strangers change nothing, and no word is lost."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from faster_whisper import decode_audio

from cli.demo.words import word_errors, words_of
from protocol.options import Options
from workers import demo
from workers.engine.base import Heard, Samples
from workers.engine.faster_whisper import FasterWhisperEngine

BATCH_SIZE = 8
CLIPS = demo.speech()

#: How much worse than with the full context, in words of a hundred.
ALLOWED = 0.005

#: Enough of the clips to compare with the full context, whose windows cost fifteen times as much.
COMPARED = 40


def loaded(**changes: str) -> FasterWhisperEngine:
    engine = FasterWhisperEngine("demo", device="cpu", **changes)  # type: ignore[arg-type]
    engine.load()
    return engine


@pytest.fixture(scope="module")
def bucketed() -> FasterWhisperEngine:
    return loaded()


@pytest.fixture(scope="module")
def together(bucketed: FasterWhisperEngine) -> list[Heard]:
    return in_batches(bucketed, spoken(), BATCH_SIZE)


@cache
def spoken() -> list[Samples]:
    return [decode_audio(str(clip.path)) for clip in CLIPS]


def in_batches(engine: FasterWhisperEngine, samples: Sequence[Samples], size: int) -> list[Heard]:
    """What is heard, the samples taken in order and `size` at a time."""
    rows = [engine.prepare(one, Options(beam_size=1)) for one in samples]
    outcomes = [
        outcome for start in range(0, len(rows), size) for outcome in engine.run(rows[start : start + size])
    ]
    heard = [outcome for outcome in outcomes if isinstance(outcome, Heard)]
    assert len(heard) == len(samples)
    return heard


def wrong_words(heard: Sequence[Heard]) -> int:
    return sum(word_errors(clip.text, one.text) for clip, one in zip(CLIPS, heard, strict=False))


def test_a_batch_reads_as_its_rows_alone(bucketed: FasterWhisperEngine, together: list[Heard]) -> None:
    """At most one text of 120 differs: where rounding decides between two words, batches may differ."""
    alone = in_batches(bucketed, spoken(), 1)
    differ = [
        (one.text, other.text) for one, other in zip(alone, together, strict=True) if one.text != other.text
    ]
    assert len(differ) <= 1, differ


def test_languages_are_told_from_shortened_windows(together: list[Heard]) -> None:
    """No clip names its language; it is detected in the same encoder output that the text comes from."""
    assert [one.language for one in together] == [clip.language for clip in CLIPS]


def test_no_more_words_are_wrong_than_with_the_full_context(together: list[Heard]) -> None:
    """The word error rate is at most half a point above that of windows padded to 30 s."""
    full = in_batches(loaded(audio_context="full"), spoken()[:COMPARED], BATCH_SIZE)
    said = sum(len(words_of(clip.text)) for clip in CLIPS[:COMPARED])
    assert wrong_words(together[:COMPARED]) <= wrong_words(full) + ALLOWED * said


def test_most_words_of_all_clips_are_right(together: list[Heard]) -> None:
    """Measured: 2 wrong of 769 words, against 5 with the full context; allowed is half a point more."""
    said = sum(len(words_of(clip.text)) for clip in CLIPS)
    assert wrong_words(together) <= 5 + ALLOWED * said


@pytest.mark.parametrize("seconds", [0.05, 0.3, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("level", [0.0, 0.0003, 0.003, 0.01])
def test_silence_and_noise_are_empty(bucketed: FasterWhisperEngine, seconds: float, level: float) -> None:
    """Nothing said, nothing written, between two clips that are heard; levels are shares of full scale.

    Louder noise, from a thirtieth of full scale, makes the demo model invent a "Vielen Dank." now and
    then, with either context.
    """
    noise = np.random.default_rng(1).normal(0, level, int(seconds * 16_000)).astype(np.float32)
    first, second = spoken()[:2]
    before, nothing, after = in_batches(bucketed, [first, noise, second], 3)
    assert (nothing.text, nothing.no_speech) == ("", True)
    assert before.text
    assert after.text
