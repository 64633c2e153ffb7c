"""Text that fails its gates is heard again at the next temperature: faster-whisper's rules, later calls."""

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel, decode_audio
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.options import Options
from workers import demo
from workers.engine.base import Again, Heard, Outcome, Row, Samples, compatibility_key
from workers.engine.faster_whisper import FasterWhisperEngine, groups_of_one_shape, search
from workers.engine.listener import Listener
from workers.engine.loading import load_model
from workers.engine.vocabulary import Vocabulary

SPEECH: Samples = decode_audio(str(demo.speech()[0].path))

#: No text has an average log-probability of 0, so every attempt fails.
NEVER_GOOD = Options(beam_size=1, temperature=(0.0, 0.2), log_prob_threshold=0.0)


@dataclass(frozen=True)
class Result:
    """What CTranslate2's `WhisperGenerationResult` holds of one window."""

    sequences_ids: list[list[int]]
    scores: list[float]
    no_speech_prob: float


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.of(load_model("demo", device="cpu"))


@pytest.fixture(scope="module")
def engine() -> FasterWhisperEngine:
    engine = FasterWhisperEngine("demo", device="cpu")
    engine.load()
    return engine


def listener(vocabulary: Vocabulary, options: Options, progress: Any = None) -> Listener:
    features = vocabulary.whisper.feature_extractor(SPEECH)
    row = Row(samples=SPEECH, options=options, features=features, progress=progress)
    return Listener(row, vocabulary, holds_speech=lambda _: True)


def through_json(outcome: Outcome) -> Any:
    """The progress of a row as it comes back from the worker."""
    assert isinstance(outcome, Again)
    return json.loads(json.dumps(outcome.progress))


attempts = st.builds(
    lambda words, score, silence: ([" no"] * words, score, silence),
    st.sampled_from([1, 3, 40]),  # forty times the same is too repetitive
    st.sampled_from([-0.3, -0.9, -1.2, -1.5, -3.0]),
    st.sampled_from([0.1, 0.6, 0.7]),
)
thresholds = {
    "compression_ratio_threshold": st.sampled_from([None, 2.4]),
    "log_prob_threshold": st.sampled_from([None, -1.0]),
    "no_speech_threshold": st.sampled_from([None, 0.6]),
}


def alone(vocabulary: Vocabulary, results: list[Result], options: Options) -> tuple[Any, ...] | None:
    """What faster-whisper's own code makes of `results`: tokens and temperature, None for silence."""
    asked = iter(results)
    model = SimpleNamespace(
        model=SimpleNamespace(generate=lambda *_, **__: [next(asked)]),
        time_precision=0.02,
        max_length=448,
        logger=vocabulary.whisper.logger,
    )
    given = SimpleNamespace(
        **{name: getattr(options, name) for name in Options.__dataclass_fields__},
        temperatures=options.temperatures,
    )
    tokenizer = vocabulary.tokenizer("en", "transcribe")
    result, average, temperature, _ = WhisperModel.generate_with_fallback(model, None, [1], tokenizer, given)
    is_skipped = (
        options.no_speech_threshold is not None and result.no_speech_prob > options.no_speech_threshold
    )
    if options.log_prob_threshold is not None and average > options.log_prob_threshold:
        is_skipped = False  # as in `WhisperModel.generate_segments`
    return None if is_skipped else (tuple(result.sequences_ids[0]), temperature)


def in_turn(vocabulary: Vocabulary, results: list[Result], options: Options) -> tuple[Any, ...] | None:
    """What a row makes of them, each in a call of its own."""
    progress = None
    for result in results:
        row = listener(vocabulary, options, progress)
        row.hear(result)
        if row.passage is not None:
            return row.passage.attempt.tokens, row.passage.temperature
        row.go_on()
        if isinstance(row.outcome(), Heard):
            return None
        progress = through_json(row.outcome())
    raise AssertionError("a row may not be heard more often than there are temperatures")


@settings(max_examples=200)
@given(said=st.lists(attempts, min_size=3, max_size=3), gates=st.fixed_dictionaries(thresholds))
def test_the_same_attempt_stands_as_alone(
    vocabulary: Vocabulary, said: list[tuple[list[str], float, float]], gates: dict[str, float | None]
) -> None:
    """Whatever each temperature gives, whichever gates are open: faster-whisper's text and temperature.

    How likely speech is does not depend on the temperature.
    """
    encode = vocabulary.tokenizer("en", "transcribe").encode
    results = [Result([encode("".join(words))], [score], said[0][2]) for words, score, _ in said]
    options = Options.of({"language": "en", "temperature": [0.0, 0.4, 0.8], **gates})
    assert in_turn(vocabulary, results, options) == alone(vocabulary, results, options)


def test_only_the_failed_row_is_heard_again(engine: FasterWhisperEngine) -> None:
    """Its neighbours have their text from the first call."""
    good = replace(NEVER_GOOD, log_prob_threshold=-1.0)
    asked = [engine.prepare(SPEECH, options) for options in (good, NEVER_GOOD, good)]
    before, again, after = engine.run(asked)
    assert isinstance(before, Heard)
    assert before == after
    assert isinstance(again, Again)
    assert again.temperature == 0.2


def test_a_row_that_no_temperature_helps_keeps_its_likeliest_text(engine: FasterWhisperEngine) -> None:
    """The last temperature ends it; what stands is the better of both, marked with the last temperature."""
    row = engine.prepare(SPEECH, NEVER_GOOD)
    progress = through_json(engine.run([row])[0])
    [last] = engine.run([replace(row, progress=progress)])
    assert isinstance(last, Heard)
    assert {segment.temperature for segment in last.segments} == {0.2}
    assert last.segments[0].avg_logprob >= progress["best"]["avg_logprob"]


def test_a_row_goes_on_where_it_was(vocabulary: Vocabulary) -> None:
    """Language, text so far and place in the audio come back with the row, in another process if need be."""
    options = Options(initial_prompt="Yes", temperature=(0.0, 0.5))
    row = listener(vocabulary, options)
    tokenizer = vocabulary.tokenizer("en", "transcribe")
    second = [tokenizer.timestamp_begin + 50] * 2
    row.speaks("en", 0.8)
    row.hear(Result([[tokenizer.timestamp_begin, *tokenizer.encode(" Yes."), *second]], [-0.1], 0.0))
    row.go_on()
    row.hear(Result([tokenizer.encode(" no" * 40)], [-0.2], 0.0))
    row.go_on()
    later = listener(vocabulary, options, through_json(row.outcome()))
    assert (later.language, later.temperature) == ("en", 0.5)
    assert later.prompt() == row.prompt()
    assert np.array_equal(later.window(), row.window())


def test_text_of_a_high_temperature_is_no_prompt(vocabulary: Vocabulary) -> None:
    """Above `prompt_reset_on_temperature` the text is too uncertain to lead the next window."""
    tokenizer = vocabulary.tokenizer("en", "transcribe")
    second = [tokenizer.timestamp_begin + 50] * 2
    result = Result([[tokenizer.timestamp_begin, *tokenizer.encode(" Yes."), *second]], [-0.1], 0.0)
    prompts = []
    for temperature in (0.5, 0.6):
        row = listener(vocabulary, Options(language="en", temperature=temperature))
        row.hear(result)
        row.go_on()
        prompts.append(row.prompt())
    assert [tokenizer.sot_prev in prompt for prompt in prompts] == [True, False]


def test_rows_of_one_temperature_share_a_batch() -> None:
    """A temperature has a key of its own; above 0 the beam no longer matters, but how many are sampled."""
    key = compatibility_key
    assert key(Options(), 0.2) == key(Options(beam_size=1), 0.2) != key(Options(best_of=2), 0.2)
    assert len({key(Options()), key(Options(), 0.2), key(Options(), 0.4)}) == 3
    assert key(Options(temperature=0.4)) == key(Options(), 0.4)


def test_rows_at_different_temperatures_do_not_share_a_call(vocabulary: Vocabulary) -> None:
    """In the window after one that needed a higher temperature a row begins at 0 again."""
    rows = [listener(vocabulary, Options(language="en", temperature=t)) for t in (0.0, 0.2, 0.0)]
    assert groups_of_one_shape(rows) == [[rows[0], rows[2]], [rows[1]]]


def test_the_search_is_faster_whispers() -> None:
    """Beams at temperature 0; above, `best_of` samples of the whole vocabulary."""
    options = Options(beam_size=3, patience=2.0, best_of=4)
    assert search(options, 0.0) == {"beam_size": 3, "patience": 2.0}
    assert search(options, 0.4) == {
        "beam_size": 1,
        "num_hypotheses": 4,
        "sampling_topk": 0,
        "sampling_temperature": 0.4,
    }
