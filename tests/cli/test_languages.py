"""Languages may be named in English."""

from __future__ import annotations

import pytest

from cli.languages import CODES, code_of
from protocol.languages import LANGUAGE_CODES


def test_every_language_has_a_name() -> None:
    """And no name stands for a language that Whisper does not know."""
    assert set(CODES.values()) == LANGUAGE_CODES


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, None),
        ("en", "en"),
        ("EN", "en"),
        ("Japanese", "ja"),
        ("haitian Creole", "ht"),
        ("Klingon", "Klingon"),
        ("", ""),
    ],
)
def test_names_and_codes_become_codes(given: str | None, code: str | None) -> None:
    """In any case; what is neither is for the check of options to refuse, in the words that were given."""
    assert code_of(given) == code
