"""Word timestamps: a second pass over a batch of strangers gives each the words that it gets alone."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel, decode_audio

from protocol.options import Options
from tests.whisper_options import for_whisper
from workers import demo
from workers.engine.base import Heard, Samples
from workers.engine.faster_whisper import FasterWhisperEngine
from workers.engine.loading import load_model

WORDS = Options(beam_size=1, temperature=0.0, word_timestamps=True)

#: faster-whisper rounds to 10 ms; in a batch nothing moves further than its own step of 20 ms.
TOLERANCE = 0.02


@dataclass(frozen=True)
class Pair:
    """Our engine, and faster-whisper alone."""

    engine: FasterWhisperEngine
    whisper: WhisperModel

    def together(self, asked: list[tuple[Samples, Options]]) -> list[Heard]:
        outcomes = self.engine.run([self.engine.prepare(*one) for one in asked])
        assert all(isinstance(outcome, Heard) for outcome in outcomes)
        return [outcome for outcome in outcomes if isinstance(outcome, Heard)]

    def alone(self, samples: Samples, options: Options) -> list[Any]:
        return list(self.whisper.transcribe(samples, **for_whisper(options))[0])


@pytest.fixture(scope="module")
def pair() -> Pair:
    engine = FasterWhisperEngine(
        "demo", device="cpu", compute_type="float32", cpu_threads=1, audio_context="full"
    )
    engine.load()
    return Pair(engine, load_model("demo", device="cpu", compute_type="float32", cpu_threads=1))


def clip(nth: int) -> Samples:
    samples: Samples = decode_audio(str(demo.speech()[nth].path))
    return samples


def noise(seconds: float) -> Samples:
    return np.random.default_rng(3).normal(0, 0.02, round(seconds * 16_000)).astype(np.float32)


def mixed(count: int) -> list[tuple[Samples, Options]]:
    """Three languages, given and detected, both tasks, and prompts of two lengths."""
    asked = []
    for nth in range(count):
        given = demo.speech()[nth].language if nth % 2 else None
        options = replace(WORDS, language=given, task="translate" if nth % 7 == 6 else "transcribe")
        asked.append((clip(nth), replace(options, initial_prompt="Madrid" if nth % 5 == 4 else None)))
    return asked


def check_equal(ours: Heard, alone: list[Any]) -> None:
    assert [segment.text for segment in ours.segments] == [segment.text for segment in alone]
    for mine, other in zip(ours.segments, alone, strict=True):
        assert [word.word for word in mine.words or ()] == [word.word for word in other.words]
        times = [(word.start, word.end) for word in mine.words or ()]
        assert np.allclose(times, [(word.start, word.end) for word in other.words], rtol=0, atol=TOLERANCE)
        assert (mine.start, mine.end) == pytest.approx((other.start, other.end), abs=TOLERANCE)


def test_words_of_a_mixed_batch_are_those_alone(pair: Pair) -> None:
    """Every word is there, at its time, whatever language and task its neighbours have."""
    asked = mixed(16)
    outcomes = [outcome for first in (0, 8) for outcome in pair.together(asked[first : first + 8])]
    assert sum(len(segment.words or ()) for outcome in outcomes for segment in outcome.segments) > 80
    for one, outcome in zip(asked, outcomes, strict=True):
        check_equal(outcome, pair.alone(*one))


def test_words_make_up_the_text(pair: Pair) -> None:
    """The words of a segment, in order of time, hold exactly its text; without asking there are none."""
    with_words, without = (
        pair.together([(clip(0), replace(WORDS, word_timestamps=wanted))])[0] for wanted in (True, False)
    )
    for segment in with_words.segments:
        words = segment.words or ()
        assert "".join(word.word for word in words).strip() == segment.text.strip()
        assert [word.start for word in words] == sorted(word.start for word in words)
        assert all(0 < word.probability <= 1 for word in words)
    assert [segment.words for segment in without.segments] == [None] * len(without.segments)


def test_a_row_without_text_has_no_words(pair: Pair) -> None:
    """Silence in a batch takes no part in the second pass, and its neighbour's words stay in place."""
    silence, spoken = pair.together([(np.zeros(48_000, np.float32), WORDS), (clip(1), WORDS)])
    assert silence.no_speech
    check_equal(spoken, pair.alone(clip(1), WORDS))


def test_what_was_said_before_stays_with_its_row(pair: Pair) -> None:
    """Rows at their second window know when their own last word ended, and nobody else's."""
    broken_off = replace(WORDS, max_new_tokens=20, language="en")
    english = [nth for nth, one in enumerate(demo.speech()) if one.language == "en"]
    asked = [
        (np.concatenate([noise(gap), clip(english[nth]), noise(gap), clip(english[nth + 1])]), broken_off)
        for nth, gap in enumerate((0.2, 2.5, 0.8))
    ]
    alone = [pair.alone(*one) for one in asked]
    assert any(segment.seek > 0 for segments in alone for segment in segments), "no row went on"
    for outcome, segments in zip(pair.together(asked), alone, strict=True):
        check_equal(outcome, segments)


@pytest.mark.parametrize("threshold", [0.2, 1.0])
def test_hallucinations_are_dropped_as_alone(pair: Pair, threshold: float) -> None:
    """Odd words between silences: what stands is what stands in faster-whisper, for each of a batch."""
    options = replace(
        WORDS,
        language="en",
        hallucination_silence_threshold=threshold,
        no_speech_threshold=None,
        log_prob_threshold=None,
    )
    asked = [
        (np.concatenate([clip(nth), noise(gap), clip(nth + 1), 10 * noise(gap)]), options)
        for nth, gap in enumerate((0.5, 2.5, 6.0))
    ]
    unfiltered = replace(options, hallucination_silence_threshold=None)
    alone = [pair.alone(*one) for one in asked]
    assert alone != [pair.alone(samples, unfiltered) for samples, _ in asked], "nothing was dropped"
    for outcome, segments in zip(pair.together(asked), alone, strict=True):
        check_equal(outcome, segments)


def test_other_punctuation_sticks_to_other_words(pair: Pair) -> None:
    """Which marks belong to a word is each row's own option."""
    plain = replace(WORDS, append_punctuations="", prepend_punctuations="")
    asked = [(clip(2), WORDS), (clip(2), plain)]
    for one, outcome in zip(asked, pair.together(asked), strict=True):
        check_equal(outcome, pair.alone(*one))
