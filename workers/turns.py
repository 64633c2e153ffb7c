"""What the end of a request means for its conversation: its text for the turns after it, and who is next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocol.errors import TranscriptionError
from protocol.options import Options
from protocol.wire import conversation_of
from workers.transport.settlement import Turn

_MOST_TEMPERATURE = Options().prompt_reset_on_temperature


def turns_of(message: Any, outcome: Mapping[str, Any] | TranscriptionError | None = None) -> list[Turn]:
    """The turn that ends with a Celery request (`workers.strategy.Message`), if it is one of a conversation.

    Args:
        message: a request that will not run again.
        outcome: its transcript as `protocol.wire.encode_transcript` writes it, or an error; None if it
            never ran.
    """
    conversation = conversation_of(message.kwargs)
    if conversation is None:
        return []
    text, begins_anew = "", False
    if isinstance(outcome, Mapping):
        text, begins_anew = said(outcome, _most_temperature(message.kwargs))
    return [Turn(conversation=conversation, request_id=message.id, text=text, begins_anew=begins_anew)]


def said(transcript: Mapping[str, Any], most_temperature: float) -> tuple[str, bool]:
    """What a transcript adds to its conversation, and whether nothing before it is to be heard of any more.

    As faster-whisper does from window to window: where a text needed a temperature above
    `prompt_reset_on_temperature`, neither it nor what was before it goes into a later prompt.
    """
    segments = transcript["segments"]
    doubtful = [at for at, one in enumerate(segments) if one["temperature"] > most_temperature]
    if not doubtful:
        return transcript["text"].strip(), False
    return "".join(one["text"] for one in segments[doubtful[-1] + 1 :]).strip(), True


def _most_temperature(kwargs: Mapping[str, Any]) -> float:
    """The option as the sender gave it, which was checked before the request ran."""
    options = kwargs.get("options") or {}
    limit: float = options.get("prompt_reset_on_temperature", _MOST_TEMPERATURE)
    return limit
