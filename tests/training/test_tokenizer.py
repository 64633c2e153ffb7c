"""The tokenizer, and the two traps that it avoids."""

import faster_whisper.tokenizer
import pytest

from training.tokenizer import SPARE, TIMESTAMPS, VOCABULARY, Vocabulary, build


def test_no_sentence_needs_a_token_that_faster_whisper_forbids(
    texts: list[str], vocabulary: Vocabulary
) -> None:
    """The first trap: the pieces that begin " -", " '" and " ♪" begin nothing that is ever said."""
    judge = faster_whisper.tokenizer.Tokenizer(
        vocabulary.tokenizer, multilingual=True, task="transcribe", language="en"
    )
    used = {piece for text in texts for piece in vocabulary.pieces(text)}
    assert used.isdisjoint(judge.non_speech_tokens)


def test_a_bare_space_is_not_forbidden(vocabulary: Vocabulary) -> None:
    """The first trap at its root: without pieces of their own, those signs would forbid the space."""
    judge = faster_whisper.tokenizer.Tokenizer(
        vocabulary.tokenizer, multilingual=True, task="transcribe", language="en"
    )
    assert vocabulary.tokenizer.token_to_id("Ġ") not in judge.non_speech_tokens


def test_a_spare_token_follows_the_pieces(vocabulary: Vocabulary) -> None:
    """The second trap needs a token that no text uses; it is also CTC's blank, the class after 600 pieces."""
    assert vocabulary.tokenizer.token_to_id(SPARE) == 600


def test_texts_come_back_as_they_were(texts: list[str], vocabulary: Vocabulary) -> None:
    """Pieces say a text with every letter, after the space that every transcript begins with."""
    for text in [*texts[:200], "naïve – 北京 ♪"]:
        assert vocabulary.tokenizer.decode(vocabulary.pieces(text)) == f" {text}"


def test_timestamps_end_the_vocabulary(vocabulary: Vocabulary) -> None:
    """0.00 follows `<|notimestamps|>`, where faster-whisper looks for it, and 30.00 is the last token."""
    assert vocabulary.time(0.0) == vocabulary.special("notimestamps") + 1
    assert vocabulary.time(1.234) == vocabulary.time(0.0) + 62
    assert vocabulary.time(30.0) == vocabulary.time(0.0) + TIMESTAMPS - 1 == VOCABULARY - 1


def test_equal_texts_make_equal_tokenizers(texts: list[str], vocabulary: Vocabulary) -> None:
    """Ties between pieces are broken the same way every time."""
    assert build(texts).to_str() == vocabulary.tokenizer.to_str()


def test_too_few_texts_are_refused() -> None:
    """A tokenizer with fewer pieces would not fit the model; the error says how many there were."""
    with pytest.raises(ValueError, match="not 2113: the texts are too few"):
        build(["No, thank you."])


def test_an_unknown_special_token_is_named(vocabulary: Vocabulary) -> None:
    """A language that the model does not speak is an error, not token None."""
    with pytest.raises(KeyError, match="fr"):
        vocabulary.special("fr")
