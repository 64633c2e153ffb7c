"""Equal to alone: whatever shares a batch, each text is what faster-whisper gives for that audio alone.

One hundred audio segments of all kinds, in batches of 8 strangers (requests that share nothing but
what one engine call must share), against `WhisperModel.transcribe` at temperature 0 with the same
options, float32 and full context on the CPU. Compared character for character: language, text, and the
times and text of each segment. One difference is meant, and counted: text that faster-whisper makes of
a window where a gate speaks against it and Silero hears nobody is silence here.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import pytest
from faster_whisper import decode_audio
from faster_whisper.vad import get_speech_timestamps

from protocol.options import Options
from tests.whisper_options import for_whisper
from workers import demo
from workers.engine.base import Heard, Samples, compatibility_key
from workers.engine.faster_whisper import FasterWhisperEngine
from workers.engine.loading import load_model

BATCH_SIZE = 8

GREEDY = Options(beam_size=1, temperature=0.0)
BEAM = Options(beam_size=5, length_penalty=0.8, temperature=0.0)
PLAIN = Options(
    beam_size=1, without_timestamps=True, repetition_penalty=1.1, no_repeat_ngram_size=4, temperature=0.0
)
#: So few tokens that a sentence is broken off and the seek loop goes on inside the audio segment.
CUT_SHORT = Options(beam_size=1, max_new_tokens=20, temperature=0.0)

#: Silence between joined clips, in seconds.
GAPS = (0.2, 0.8, 3.0, 9.0, 26.0)

#: English, Spanish and German in turn.
CLIPS: list[demo.Clip] = [
    clip
    for three in zip(
        *([c for c in demo.speech() if c.language == code] for code in ("en", "es", "de")), strict=False
    )
    for clip in three
]


@dataclass(frozen=True)
class Case:
    """One audio segment and what is asked of it."""

    name: str
    samples: Samples
    options: Options


Asked = tuple[Samples, dict[str, Any]]
"""An audio segment, and the options in which it differs from the others of its batch."""


@cache
def spoken(nth: int) -> Samples:
    samples: Samples = decode_audio(str(CLIPS[nth % len(CLIPS)].path))
    return samples


def language(nth: int) -> str:
    return CLIPS[nth % len(CLIPS)].language


def text(nth: int) -> str:
    return CLIPS[nth % len(CLIPS)].text


def noise(seconds: float) -> Samples:
    return np.random.default_rng(3).normal(0, 0.05, int(seconds * 16_000)).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * 16_000), np.float32)


def named(nth: int) -> Asked:
    return spoken(nth), {"language": language(nth), "task": "translate" if nth % 5 == 4 else "transcribe"}


def detected(nth: int) -> Asked:
    return spoken(nth), {}


def prompted(nth: int) -> Asked:
    earlier = " ".join(text(nth + 3 * step) for step in range(1, 2 + nth % 4))
    return spoken(nth), {"language": language(nth), "initial_prompt": earlier}


def hinted(nth: int) -> Asked:
    return spoken(nth), {"language": language(nth), "hotwords": "Madrid Laura Bremen"[: 6 * (1 + nth % 3)]}


def prefixed(nth: int) -> Asked:
    return spoken(nth), {"language": language(nth), "prefix": " ".join(text(nth).split()[: 1 + nth % 3])}


def joined(nth: int) -> Asked:
    gap = GAPS[nth % len(GAPS)]
    clips = [spoken(nth + 3 * step) for step in range(2 + nth % 2)]
    samples = np.concatenate(list(chain.from_iterable((clip, silence(gap)) for clip in clips)))[:480_000]
    return samples, {"language": language(nth)} if nth % 2 else {}


def closely_joined(nth: int) -> Asked:
    return joined(len(GAPS) * nth)  # the shortest gap


def forgetful(nth: int) -> Asked:
    samples, changes = closely_joined(nth)
    return samples, {**changes, "condition_on_previous_text": False, "initial_prompt": text(nth)}


def mindful(nth: int) -> Asked:
    samples, changes = closely_joined(nth)
    return samples, {**changes, "hotwords": "Madrid", "initial_prompt": text(nth)}


def quiet(nth: int) -> Asked:
    return (noise if nth % 2 else silence)(0.05 + 2.5 * nth), {"language": "en"} if nth % 3 else {}


def ungated(nth: int) -> Asked:
    gates = ("no_speech_threshold", "log_prob_threshold")
    return (noise if nth % 2 else silence)(4.0), {gates[nth % 2]: None}


def sliced(nth: int) -> Asked:
    samples = spoken(nth)
    first, last = (round(len(samples) * part) for part in (0.07 * (nth % 5), 1 - 0.11 * (nth % 4)))
    return samples[first:last], {"language": language(nth)} if nth % 2 else {}


PLAN: list[tuple[Options, dict[Callable[[int], Asked], int]]] = [
    (
        GREEDY,
        {named: 14, detected: 10, prompted: 8, hinted: 3, prefixed: 3, joined: 10, quiet: 4, ungated: 4},
    ),
    (BEAM, {named: 5, detected: 2, prompted: 3, joined: 5, quiet: 1}),
    (PLAIN, {named: 6, detected: 2, prompted: 3, prefixed: 2, joined: 2, quiet: 1}),
    (CUT_SHORT, {closely_joined: 7, forgetful: 2, mindful: 1, named: 2}),
]

#: For each width of the beam: every packaged clip, and variations on them.
FOUR_HUNDRED: dict[Callable[[int], Asked], int] = {
    detected: 120,
    named: 80,
    prompted: 60,
    hinted: 30,
    prefixed: 30,
    sliced: 30,
    joined: 30,
    quiet: 12,
    ungated: 8,
}


def batches(shared: Options) -> list[list[Case]]:
    """The audio segments planned for these options, shuffled and cut into batches."""
    return in_batches(shared, next(kinds for options, kinds in PLAN if options is shared))


def in_batches(shared: Options, kinds: dict[Callable[[int], Asked], int]) -> list[list[Case]]:
    asked = [(f"{kind.__name__} {nth}", *kind(nth)) for kind, count in kinds.items() for nth in range(count)]
    cases = [Case(name, samples, replace(shared, **changes)) for name, samples, changes in asked]
    random.Random(5).shuffle(cases)
    return [cases[first : first + BATCH_SIZE] for first in range(0, len(cases), BATCH_SIZE)]


#: Comparable: language, text, and start, end and text of every segment.
Reading = tuple[str, str, list[tuple[float, float, str]]]


class Bench:
    """One loaded model, used in a batch by our engine and alone by faster-whisper's own code."""

    def __init__(self) -> None:
        self.engine = FasterWhisperEngine(
            "demo", device="cpu", compute_type="float32", cpu_threads=2, audio_context="full"
        )
        self.engine.load()
        self.whisper = load_model("demo", device="cpu", compute_type="float32", cpu_threads=1)
        self.windows_after_the_first = 0
        self.invented = 0
        """Segments that faster-whisper made of nothing."""

    def together(self, batch: Sequence[Case]) -> dict[str, Reading]:
        outcomes = self.engine.run([self.engine.prepare(case.samples, case.options) for case in batch])
        return {case.name: _reading(outcome) for case, outcome in zip(batch, outcomes, strict=True)}

    def alone(self, case: Case) -> Reading:
        found, info = self.whisper.transcribe(case.samples, **for_whisper(case.options))
        heard = list(found)
        segments = [segment for segment in heard if not _is_invented(segment, case)]
        self.invented += len(heard) - len(segments)
        self.windows_after_the_first += sum(segment.seek > 0 for segment in segments)
        words = "".join(segment.text for segment in segments).strip()
        return info.language, words, [(part.start, part.end, part.text) for part in segments]


def _is_invented(segment: Any, case: Case) -> bool:
    """Whether a gate speaks against this segment of faster-whisper's, and Silero hears nobody there."""
    options = case.options
    if options.no_speech_threshold is None:
        return False
    says_no_speech = segment.no_speech_prob > options.no_speech_threshold
    is_unlikely = options.log_prob_threshold is not None and segment.avg_logprob < options.log_prob_threshold
    ratio = options.compression_ratio_threshold
    is_repetitive = ratio is not None and segment.compression_ratio > ratio
    window = case.samples[segment.seek * 160 : segment.seek * 160 + 480_000]
    return (says_no_speech or is_unlikely or is_repetitive) and not get_speech_timestamps(window)


def _reading(outcome: object) -> Reading:
    assert isinstance(outcome, Heard), outcome
    return outcome.language, outcome.text, [(part.start, part.end, part.text) for part in outcome.segments]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


def test_there_are_a_hundred_of_all_kinds() -> None:
    """A hundred audio segments; those planned together may share a batch."""
    planned = [case for shared, _ in PLAN for batch in batches(shared) for case in batch]
    assert len(planned) == 100
    assert len({compatibility_key(case.options) for case in planned}) == len(PLAN)


@pytest.mark.parametrize("nth", range(7))
def test_greedy_batch_equals_alone(bench: Bench, nth: int) -> None:
    """Beam 1: languages named and detected, prompts, hotwords, prefixes, joined clips, silence, noise."""
    batch = batches(GREEDY)[nth]
    assert bench.together(batch) == {case.name: bench.alone(case) for case in batch}


@pytest.mark.parametrize("nth", range(2))
def test_beam_search_batch_equals_alone(bench: Bench, nth: int) -> None:
    """Beam 5 with a length penalty: each row keeps its own hypotheses."""
    batch = batches(BEAM)[nth]
    assert bench.together(batch) == {case.name: bench.alone(case) for case in batch}


@pytest.mark.parametrize("nth", range(2))
def test_batch_without_timestamps_equals_alone(bench: Bench, nth: int) -> None:
    """Text only, with repetition forbidden: what is forbidden follows from a row's own text."""
    batch = batches(PLAIN)[nth]
    assert bench.together(batch) == {case.name: bench.alone(case) for case in batch}


@pytest.mark.parametrize("nth", range(2))
def test_rows_that_go_on_inside_their_audio_equal_alone(bench: Bench, nth: int) -> None:
    """Rows at different windows, with previous text of different length, share the further rounds."""
    before = bench.windows_after_the_first
    batch = batches(CUT_SHORT)[nth]
    assert bench.together(batch) == {case.name: bench.alone(case) for case in batch}
    assert bench.windows_after_the_first > before, "no row of this batch went on: it proves nothing"


def test_what_is_invented_is_counted(bench: Bench) -> None:
    """Of the hundred only the shortest silence is told apart from faster-whisper by Silero."""
    before = bench.invented
    [case] = [case for batch in batches(GREEDY) for case in batch if case.name == "quiet 0"]
    assert bench.alone(case)[1] == ""
    assert bench.invented - before == 1


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("beam_size", [1, 5])
def test_four_hundred_equal_alone(bench: Bench, beam_size: int) -> None:
    """Every packaged clip and 280 variations, in batches of 8 strangers: 400 of 400 equal."""
    cases = in_batches(Options(beam_size=beam_size, temperature=0.0), FOUR_HUNDRED)
    different = []
    for batch in cases:
        together = bench.together(batch)
        different += [case.name for case in batch if together[case.name] != bench.alone(case)]
    assert sum(map(len, cases)) == 400
    assert different == []
