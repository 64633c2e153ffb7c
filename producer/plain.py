"""Transcripts, errors and arguments as plain data, for those who speak in dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocol.errors import Overloaded, RequestError, TranscriptionError
from protocol.transcript import Transcript
from protocol.wire import encode_transcript


def plain_transcript(transcript: Transcript) -> dict[str, Any]:
    """All there is of a transcript; its `text` without the space that Whisper begins with."""
    encoded = encode_transcript(transcript)
    del encoded["v"]  # of the result in Redis, which nobody reads here
    return {**encoded, "text": transcript.text.strip()}


def plain_error(error: TranscriptionError) -> dict[str, Any]:
    """`code`, `message` and `retryable`, and in how many seconds again may help, where that is known."""
    plain: dict[str, Any] = {"code": error.code, "message": error.message, "retryable": error.retryable}
    if isinstance(error, Overloaded):
        plain["retry_after"] = error.retry_after
    return plain


def failed(error: TranscriptionError) -> dict[str, Any]:
    """The answer to a call that failed as a whole."""
    return {"status": "error", "error": plain_error(error)}


def check_fields(
    given: object, what: str, *, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> Mapping[str, Any]:
    """Return `given` if it is a mapping with these fields and no other, else raise `RequestError`."""
    if not isinstance(given, Mapping):
        raise RequestError(f"{what} is of type {type(given).__name__}: expected an object")
    if missing := [name for name in required if name not in given]:
        raise RequestError(f"{what} has no {', '.join(missing)}")
    known = required + optional
    if unknown := [name for name in given if name not in known]:
        raise RequestError(f"{what} has an unknown field {repr(unknown[0])[:40]}; known: {', '.join(known)}")
    return given


def check_timeout(timeout: object, longest: float) -> float:
    """Return `timeout` if it is a number of seconds from 0 to `longest`, else raise `RequestError`."""
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 <= timeout <= longest:
        raise RequestError(
            f"timeout is {repr(timeout)[:40]}: expected seconds, 0 to {longest:g}", "BAD_OPTION"
        )
    return timeout
