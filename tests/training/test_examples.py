"""What the model sees and shall say."""

from random import Random

import numpy as np
import pytest

from training.examples import Corpus, Example, make_example
from training.tokenizer import Vocabulary


@pytest.fixture(scope="module")
def examples(corpus: Corpus, vocabulary: Vocabulary) -> list[Example]:
    rng = Random(2)
    return [make_example(corpus, vocabulary, rng) for _ in range(300)]


def spoken(examples: list[Example]) -> list[Example]:
    return [example for example in examples if example.pieces]


def test_what_is_to_be_said_follows_start_of_transcript(
    examples: list[Example], vocabulary: Vocabulary
) -> None:
    """The last given token is `<|startoftranscript|>`, whether or not another text came before."""
    start = vocabulary.special("startoftranscript")
    assert all(example.tokens[example.given - 1] == start for example in examples)
    assert {example.tokens.index(start) > 0 for example in examples} == {True, False}


def test_task_and_end_frame_the_text(examples: list[Example], vocabulary: Vocabulary) -> None:
    """Language, then the task, then the text, then the end, as faster-whisper prompts and reads it."""
    languages = {vocabulary.special("en"), vocabulary.special("de")}
    for example in spoken(examples):
        language, task, *_, end = example.tokens[example.given :]
        assert language in languages
        assert task == vocabulary.special("transcribe")
        assert end == vocabulary.special("endoftext")


def test_ctc_is_given_the_text_alone(examples: list[Example], vocabulary: Vocabulary) -> None:
    """The encoder must tell the same pieces as the decoder, without tasks and times."""
    for example in spoken(examples):
        said = [token for token in example.tokens[example.given :] if token < 600]
        assert tuple(said) == example.pieces


def test_timestamps_lie_in_the_sound_in_pairs(examples: list[Example], vocabulary: Vocabulary) -> None:
    """Each sentence, of half a second at least, has its start and end, none beyond the samples."""
    zero = vocabulary.time(0.0)
    seen = 0
    for example in examples:
        times = [(token - zero) * 0.02 for token in example.tokens if token >= zero]
        assert times == sorted(times)
        assert all(end - start > 0.45 for start, end in zip(times[::2], times[1::2], strict=True))
        assert not times or times[-1] <= len(example.samples) / 16_000 + 0.01
        seen += bool(times)
    assert 75 < seen < 165


def test_nobody_speaking_has_one_answer(examples: list[Example], vocabulary: Vocabulary) -> None:
    """Silence and noise are answered by `<|nospeech|>` and nothing else."""
    silent = [example for example in examples if not example.pieces]
    assert silent
    for example in silent:
        assert example.tokens[example.given :] == (vocabulary.special("nospeech"),)


def test_sound_fits_a_window(examples: list[Example]) -> None:
    """float32 within full scale, at most the 30 s that Whisper hears at once."""
    for example in examples:
        assert example.samples.dtype == np.float32
        assert np.abs(example.samples).max() <= 1
        assert 0 < len(example.samples) <= 30 * 16_000


def test_long_sentences_are_not_joined_beyond_the_window(corpus: Corpus, vocabulary: Vocabulary) -> None:
    """Sentences that would not fit are left out, text and sound together."""
    long = {
        "en": [type(one)(text=one.text, samples=np.resize(one.samples, 9 * 16_000)) for one in corpus["en"]]
    }
    rng = Random(3)
    for _ in range(100):
        example = make_example(long, vocabulary, rng)
        assert len(example.samples) <= 30 * 16_000
        assert vocabulary.tokenizer.decode(example.pieces).count(".") <= 3
