"""One row on its way through its audio; the whole way is compared in `test_equal_to_alone`."""

from dataclasses import dataclass

import numpy as np
import pytest

from protocol.errors import RequestError
from protocol.options import Options
from workers.engine.base import Heard, Row, Samples
from workers.engine.context import BUCKETED, padded_windows
from workers.engine.listener import Listener
from workers.engine.loading import load_model
from workers.engine.vocabulary import Vocabulary

TEN_SECONDS = np.zeros(160_000, np.float32)


@dataclass(frozen=True)
class Result:
    """What CTranslate2's `WhisperGenerationResult` holds of one window."""

    tokens: list[int]
    no_speech_prob: float = 0.0
    score: float = -0.1
    """Sum of the log-probabilities divided by the number of tokens to the power of the length penalty."""

    @property
    def sequences_ids(self) -> list[list[int]]:
        return [self.tokens]

    @property
    def scores(self) -> list[float]:
        return [self.score]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.of(load_model("demo", device="cpu"))


def somebody_speaks(samples: Samples) -> bool:
    """Silero, had it been asked about speech."""
    return True


def listener(vocabulary: Vocabulary, options: Options) -> Listener:
    features = vocabulary.whisper.feature_extractor(TEN_SECONDS)
    row = Row(samples=TEN_SECONDS, options=options, features=features)
    return Listener(row, vocabulary, holds_speech=somebody_speaks)


def spoken(vocabulary: Vocabulary, *parts: float | str) -> list[int]:
    """Tokens of a window: numbers are timestamps in seconds, the rest is text."""
    tokenizer = vocabulary.tokenizer("en", "transcribe")
    tokens: list[int] = []
    for part in parts:
        at = [tokenizer.timestamp_begin + round(part / 0.02)] if isinstance(part, float) else None
        tokens += tokenizer.encode(part) if at is None else at
    return tokens


def hear(row: Listener, result: Result) -> None:
    """A window without word timestamps."""
    row.hear(result)
    row.go_on()


def heard(listener: Listener) -> Heard:
    outcome = listener.outcome()
    assert isinstance(outcome, Heard)
    return outcome


def test_an_unfinished_sentence_is_heard_again_from_where_it_began(vocabulary: Vocabulary) -> None:
    """After two timestamps in a row the next window starts at the last one, and time goes on from there."""
    row = listener(vocabulary, Options(language="en"))
    hear(row, Result(spoken(vocabulary, 0.0, " Yes,", 4.0, 4.0, " that")))
    assert row.is_listening
    hear(row, Result(spoken(vocabulary, 0.0, " that is right.", 2.0)))
    assert not row.is_listening
    assert heard(row).text == "Yes, that is right."
    assert [(part.id, part.start, part.end) for part in heard(row).segments] == [(1, 0.0, 4.0), (2, 4.0, 6.0)]


def test_previous_text_is_the_next_prompt(vocabulary: Vocabulary) -> None:
    """What was heard goes before the next window, unless the caller does not want that."""
    first = Result(spoken(vocabulary, 0.0, " Yes,", 4.0, 4.0))
    mindful = listener(vocabulary, Options(language="en", initial_prompt="Listen."))
    forgetful = listener(
        vocabulary, Options(language="en", initial_prompt="Listen.", condition_on_previous_text=False)
    )
    prompts = []
    for row in (mindful, forgetful):
        hear(row, first)
        prompts.append(row.prompt())
    tokenizer = vocabulary.tokenizer("en", "transcribe")
    before = spoken(vocabulary, " Listen.", 0.0, " Yes,", 4.0)
    assert prompts == [[tokenizer.sot_prev, *before, *tokenizer.sot_sequence], tokenizer.sot_sequence]


def test_the_prefix_begins_the_first_window_only(vocabulary: Vocabulary) -> None:
    """A further window goes on in the middle of the text, where the prefix has no place."""
    row = listener(vocabulary, Options(language="en", prefix="Yes", condition_on_previous_text=False))
    tokenizer = vocabulary.tokenizer("en", "transcribe")
    start = tokenizer.sot_sequence
    assert row.prompt() == [*start, tokenizer.timestamp_begin, *spoken(vocabulary, " Yes")]
    hear(row, Result(spoken(vocabulary, 0.0, " Yes,", 4.0, 4.0)))
    assert row.prompt() == start


@pytest.mark.parametrize(
    ("score", "changes", "is_kept"),
    [
        (-2.0, {}, False),
        (-0.1, {}, True),
        (-0.1, {"log_prob_threshold": None}, False),
        (-2.0, {"no_speech_threshold": None}, True),
    ],
)
def test_the_no_speech_gate(
    vocabulary: Vocabulary, score: float, changes: dict[str, float | None], is_kept: bool
) -> None:
    """Text is dropped when no speech is likely, unless the model is sure of the text or the gate is off."""
    row = listener(vocabulary, Options.of({"language": "en", "temperature": 0.0, **changes}))
    hear(row, Result(spoken(vocabulary, 0.0, " Yes.", 9.0), no_speech_prob=0.9, score=score))
    assert not row.is_listening
    assert heard(row).no_speech is not is_kept
    assert heard(row).text == ("Yes." if is_kept else "")


def test_the_average_log_probability_is_that_of_every_token(vocabulary: Vocabulary) -> None:
    """The length penalty is taken out of CTranslate2's score again, and end of text counts as a token."""
    row = listener(vocabulary, Options(language="en", length_penalty=2.0))
    tokens = spoken(vocabulary, 0.0, " Yes.", 9.0)
    hear(row, Result(tokens, score=-0.1))
    assert heard(row).segments[0].avg_logprob == pytest.approx(-0.1 * len(tokens) ** 2 / (len(tokens) + 1))


def test_empty_segments_are_left_out(vocabulary: Vocabulary) -> None:
    """A segment without words, or without length, is not one."""
    row = listener(vocabulary, Options(language="en"))
    hear(row, Result(spoken(vocabulary, 0.0, " ", 1.0, 1.0, " Yes.", 1.0, 2.0, " No.", 3.0)))
    assert [part.text for part in heard(row).segments] == [" No."]


def test_timestamps_that_stand_still_end_the_row(vocabulary: Vocabulary) -> None:
    """Alone, faster-whisper would hear such a window for ever; here the row ends and says where."""
    row = listener(vocabulary, Options(language="en"))
    hear(row, Result(spoken(vocabulary, 0.0, 0.0)))
    assert not row.is_listening
    assert heard(row).warnings == ("the model's timestamps stand still at 0.00 s; the rest is unheard",)


def test_a_prompt_that_outgrows_the_decoder_is_refused_only_if_it_is_needed(vocabulary: Vocabulary) -> None:
    """Text heard so far leaves no room for another window: a finished row has no use for one."""
    options = Options(language="en", max_new_tokens=440)
    finished, unfinished = listener(vocabulary, options), listener(vocabulary, options)
    hear(finished, Result(spoken(vocabulary, 0.0, " Yes, that is right.", 4.0)))
    hear(unfinished, Result(spoken(vocabulary, 0.0, " Yes, that is right.", 4.0, 4.0)))
    assert heard(finished).text == "Yes, that is right."
    assert isinstance(unfinished.outcome(), RequestError)


def test_a_shortened_window_is_padded_to_its_bucket(vocabulary: Vocabulary) -> None:
    """Ten seconds are encoded as twelve; where text stands is reckoned from the ten."""
    samples = TEN_SECONDS
    row = Row(
        samples=samples,
        options=Options(language="en"),
        features=vocabulary.whisper.feature_extractor(samples),
    )
    bucketed = Listener(row, vocabulary, BUCKETED)
    assert bucketed.window_length == 1200
    assert bucketed.window().shape == (80, 1000)
    hear(bucketed, Result(spoken(vocabulary, 0.0, " Yes, that is right.")))
    assert not bucketed.is_listening
    assert heard(bucketed).segments[0].end == 10.0


def test_what_is_left_goes_to_a_bucket_of_its_own(vocabulary: Vocabulary) -> None:
    """After a window that ends at seven seconds of ten, three seconds are encoded, at their place in time."""
    features = vocabulary.whisper.feature_extractor(TEN_SECONDS)
    row = Listener(
        Row(samples=TEN_SECONDS, options=Options(language="en"), features=features), vocabulary, BUCKETED
    )
    hear(row, Result(spoken(vocabulary, 0.0, " Yes,", 7.0, 7.0, " that")))
    assert row.window_length == 300
    hear(row, Result(spoken(vocabulary, 0.0, " that is right.", 2.5)))
    assert [(part.start, part.end) for part in heard(row).segments] == [(0.0, 7.0), (7.0, 9.5)]


def test_windows_are_padded_to_thirty_seconds(vocabulary: Vocabulary) -> None:
    """Every window is as the encoder was trained on: its own features, and after them zeros."""
    row = listener(vocabulary, Options())
    windows = padded_windows([row.window(), row.window()[:, :300]], row.window_length)
    assert windows.shape == (2, 80, 3000)
    assert windows.dtype == np.float32
    for window, frames in zip(windows, (1000, 300), strict=True):
        assert np.array_equal(window[:, :frames], row.window()[:, :frames])
        assert not window[:, frames:].any()


def test_a_doubtful_text_stands_only_where_silero_hears_somebody(vocabulary: Vocabulary) -> None:
    """A gate that another outvotes is a reason to ask; a text that no gate speaks against is not."""
    asked: list[int] = []

    def nobody_speaks(samples: Samples) -> bool:
        asked.append(len(samples))
        return False

    texts = []
    for probability in (0.9, 0.1):
        features = vocabulary.whisper.feature_extractor(TEN_SECONDS)
        row = Row(samples=TEN_SECONDS, options=Options(language="en"), features=features)
        doubtful = Listener(row, vocabulary, holds_speech=nobody_speaks)
        hear(doubtful, Result(spoken(vocabulary, 0.0, " Yes.", 9.0), no_speech_prob=probability))
        texts.append(heard(doubtful).text)
    assert texts == ["", "Yes."]
    assert asked == [160_000]


def test_an_open_no_speech_gate_asks_nobody(vocabulary: Vocabulary) -> None:
    """Without a threshold the text stands, as it does with faster-whisper."""
    options = Options(language="en", no_speech_threshold=None, temperature=0.0)
    features = vocabulary.whisper.feature_extractor(TEN_SECONDS)
    row = Row(samples=TEN_SECONDS, options=options, features=features)
    trusting = Listener(row, vocabulary, holds_speech=lambda _: False)
    hear(trusting, Result(spoken(vocabulary, 0.0, " Yes.", 9.0), no_speech_prob=0.9, score=-3.0))
    assert heard(trusting).text == "Yes."
