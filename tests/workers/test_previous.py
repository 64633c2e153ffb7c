"""What was said before goes into the prompt: as much as fits, in lengths that rows can share."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from faster_whisper import WhisperModel, decode_audio
from hypothesis import given
from hypothesis import strategies as st

from protocol.options import Options
from workers.demo import model_path, speech
from workers.engine.base import Row
from workers.engine.context import BUCKETED
from workers.engine.faster_whisper import groups_of_one_shape
from workers.engine.features import LogMel
from workers.engine.listener import Listener
from workers.engine.previous import LENGTHS, with_context
from workers.engine.vocabulary import Vocabulary

#: How many tokens of previous text Whisper takes (`WhisperModel.get_prompt`: half of 448, less one).
MOST = 223

TOKENS = st.lists(st.integers(0, 600), max_size=300)


@given(own=TOKENS, context=TOKENS)
def test_it_is_the_end_of_what_was_said(own: Sequence[int], context: Sequence[int]) -> None:
    """Whatever stays of the context is its end, and comes after the request's own prompt."""
    fitted = with_context(own, context, MOST)
    assert not fitted or [*own, *context][-len(fitted) :] == fitted or fitted[: len(own)] == own
    of_context = fitted[len(own) :] if fitted[: len(own)] == own else []
    assert list(context)[len(context) - len(of_context) :] == of_context


@given(own=st.lists(st.integers(0, 600), max_size=MOST - 1), context=TOKENS)
def test_own_prompt_stays_while_it_fits(own: Sequence[int], context: Sequence[int]) -> None:
    """No token of the request's own prompt goes for the sake of a common length."""
    fitted = with_context(own, context, MOST)
    if len(own) + len(context) < MOST:
        assert fitted[: len(own)] == own


@given(context=st.lists(st.integers(0, 600), min_size=LENGTHS[0], max_size=300))
def test_lengths_are_few(context: Sequence[int]) -> None:
    """A context alone makes a prompt of one of ten lengths, and never one of less than half of it."""
    fitted = with_context([], context, MOST)
    assert len(fitted) in {*LENGTHS, MOST}
    assert len(fitted) > min(len(context), MOST) / 2


def test_no_context_changes_nothing() -> None:
    """The prompt of a request without a conversation is as it was, whatever its length."""
    assert with_context(range(300), [], MOST) == list(range(300))


@pytest.fixture(scope="module")
def whisper() -> WhisperModel:
    return WhisperModel(str(model_path()), device="cpu", compute_type="float32", cpu_threads=1)


def test_rows_of_different_contexts_share_a_call(whisper: WhisperModel) -> None:
    """Contexts of 33 to 48 words, each of another length, are one group; each has its own last words."""
    clip = speech()[0]
    vocabulary = Vocabulary.of(whisper)
    samples = decode_audio(str(clip.path))
    features = LogMel(whisper.feature_extractor)(samples)
    options = Options(language="en")
    listeners = []
    for words in range(33, 49):
        row = Row(samples=samples, options=options, features=features, context="a " * words)
        listeners.append(Listener(row, vocabulary, BUCKETED))
    assert len({len(vocabulary.text_tokens("a " * words)) for words in range(33, 49)}) == 16
    assert len(groups_of_one_shape(listeners)) == 1


def test_context_is_faster_whispers_previous_text(whisper: WhisperModel) -> None:
    """The prompt is the one that faster-whisper makes if the same words are the initial prompt."""
    clip, before = speech()[0], " ".join(["turn on the lights"] * 60)
    vocabulary = Vocabulary.of(whisper)
    samples = decode_audio(str(clip.path))
    features = LogMel(whisper.feature_extractor)(samples)
    with_it, as_prompt = (
        Listener(Row(samples=samples, options=options, features=features, context=context), vocabulary)
        for options, context in (
            (Options(language="en"), before),
            (Options(language="en", initial_prompt=before), ""),
        )
    )
    assert with_it.prompt() == as_prompt.prompt()
    assert len(with_it.prompt()) == 1 + MOST + 3
