"""The word error rate."""

import pytest

from training.word_errors import word_errors, words


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("stop the music now", "stop the music now", 0),
        ("stop the music now", "stop a music now", 1),
        ("stop the music now", "stop music now", 1),
        ("stop the music now", "please stop the music now", 1),
        ("one two three", "two three four", 2),
        ("stop the music now", "", 4),
        ("", "thank you", 2),
    ],
)
def test_fewest_changes_count(said: str, heard: str, errors: int) -> None:
    """Each word changed, missing or added is one error, and the cheapest way counts."""
    assert word_errors(said.split(), heard.split()) == errors


def test_case_and_punctuation_are_no_words() -> None:
    """Marks do not count, letters of every language do."""
    assert words("¿Dónde está la mesa? That's IT.") == ["dónde", "está", "la", "mesa", "that's", "it"]
