"""What the engine process says of a batch that has run: an outcome for each member, as JSON."""

from __future__ import annotations

from typing import Any

from protocol.errors import TranscriptionError
from protocol.request import Request
from protocol.transcript import Transcript
from protocol.wire import encode_transcript
from workers.engine.base import Again, Heard, Outcome


def encode_outcome(request: Request, outcome: Outcome, *, turns_before: int, model: str) -> dict[str, Any]:
    """A transcript without its receipt, what to hear again, or an error as Celery stores it."""
    if isinstance(outcome, Heard):
        return {"transcript": encode_transcript(_transcript(request, outcome, turns_before, model))}
    if isinstance(outcome, Again):
        return {"again": {"temperature": outcome.temperature, "progress": outcome.progress}}
    return _encode_error(outcome)


def all_failed(batch: dict[str, Any], error: TranscriptionError, seconds: float) -> dict[str, Any]:
    """The report of a batch that reached no engine, after `seconds`."""
    return {
        "batch": batch["batch"],
        "model": None,
        "ahead": 0,
        "began_at": None,
        "prepared": seconds,
        "engine": 0.0,
        "engine_calls": 0,
        "rows": 0,
        "out_of_memory_at": None,
        "memory": None,
        "outcomes": [_encode_error(error) for _ in batch["requests"]],
    }


def _encode_error(error: TranscriptionError) -> dict[str, Any]:
    return {"exc_type": type(error).__name__, "exc_message": [error.message, error.code]}


def _transcript(request: Request, heard: Heard, turns_before: int, model: str) -> Transcript:
    return Transcript(
        request_id=request.request_id,
        text=heard.text,
        language=heard.language,
        language_probability=heard.language_probability,
        duration=request.payload.seconds if request.payload.medium == "audio" else 0.0,
        segments=heard.segments,
        no_speech=heard.no_speech,
        model=model,
        warnings=heard.warnings,
        turns_before=turns_before,
        metadata=request.metadata,
        data=heard.data,
        audio=heard.audio,
    )
