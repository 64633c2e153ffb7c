"""What a request leaves to its conversation when it has ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from protocol.errors import EngineError
from workers.transport.settlement import Turn
from workers.turns import said, turns_of


def transcript(*segments: tuple[str, float]) -> dict[str, Any]:
    """With these texts, each heard at its temperature."""
    return {
        "text": "".join(text for text, _ in segments).strip(),
        "segments": [{"text": text, "temperature": at} for text, at in segments],
    }


def test_all_of_a_sober_text_stays() -> None:
    """What was heard at temperatures up to the limit comes to what was said before."""
    assert said(transcript((" One.", 0.0), (" Two.", 0.5)), 0.5) == ("One. Two.", False)
    assert said(transcript(), 0.5) == ("", False)


def test_nothing_up_to_a_doubtful_text_stays() -> None:
    """Where a higher one was needed, the text after it is all that the next turn hears of."""
    found = transcript((" One.", 0.0), (" Two!", 0.6), (" Three.", 0.0))
    assert said(found, 0.5) == ("Three.", True)
    assert said(transcript((" Two!", 0.6)), 0.5) == ("", True)


@pytest.mark.parametrize("outcome", [None, EngineError("broken")])
def test_a_turn_without_a_transcript_adds_nothing(outcome: EngineError | None) -> None:
    """It ends all the same."""
    message = SimpleNamespace(id="one", kwargs={"conversation": "talk", "audio": "anything"})
    assert turns_of(message, outcome) == [Turn(conversation="talk", request_id="one")]


def test_the_request_says_how_sober_it_must_be() -> None:
    """The option that a turn was sent with holds for its text."""
    kwargs = {"conversation": "talk", "options": {"prompt_reset_on_temperature": 0.7}}
    (turn,) = turns_of(SimpleNamespace(id="one", kwargs=kwargs), transcript((" Two.", 0.6)))
    assert (turn.text, turn.begins_anew) == ("Two.", False)


@pytest.mark.parametrize("kwargs", [{}, None, [], {"conversation": None}, {"conversation": "a b"}])
def test_who_is_no_turn_ends_none(kwargs: object) -> None:
    """Most requests are of no conversation, and a stranger's message may hold anything."""
    assert turns_of(SimpleNamespace(id="one", kwargs=kwargs), transcript((" One.", 0.0))) == []
