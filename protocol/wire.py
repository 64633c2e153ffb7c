"""The one place where requests, transcripts and errors become JSON-able values and back, versioned.

A request is the keyword arguments of the Celery task `workers.transcribe`; a transcript is its return
value; an error is what Celery's result backend stores of an exception. Whatever is decoded here may
come from a stranger: anything wrong raises `RequestError`, and errors are rebuilt from our own table
of classes, never by importing what a message names.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from protocol.errors import BY_NAME, EngineError, RequestError, TranscriptionError
from protocol.options import Options
from protocol.request import MAX_INLINE_BYTES, Encoding, Payload, Priority, Request
from protocol.transcript import Segment, Timings, Transcript

VERSION = 1

_REQUEST_FIELDS = frozenset({"audio", "options", "submitted_at", "v"})
_AUDIO_FIELDS = frozenset({"key", "base64", "encoding", "samples"})


def encode_request(request: Request) -> dict[str, Any]:
    """The keyword arguments of the task for `request`."""
    payload = request.payload
    audio: dict[str, Any] = {"encoding": str(payload.encoding), "samples": payload.samples}
    if payload.inline is None:
        audio["key"] = payload.key
    else:
        audio["base64"] = base64.b64encode(payload.inline).decode("ascii")
    encoded: dict[str, Any] = {"v": VERSION, "audio": audio}
    if changes := request.options.changes():
        encoded["options"] = changes
    if request.submitted_at is not None:
        encoded["submitted_at"] = request.submitted_at
    return encoded


def decode_request(request_id: object, kwargs: object, priority: Priority) -> Request:
    """The request that a message with these keyword arguments asks for.

    Raises:
        RequestError: anything about it is wrong; the message names what.
    """
    given = _mapping(kwargs, "the request", _REQUEST_FIELDS)
    version = given.get("v", VERSION)
    if version != VERSION:
        raise RequestError(
            f"schema version is {repr(version)[:20]}: this worker speaks {VERSION}", "BAD_SCHEMA_VERSION"
        )
    return Request(
        request_id=request_id,  # type: ignore[arg-type]  # checked by Request itself
        payload=_decode_payload(given.get("audio")),
        options=Options.of(_mapping(given.get("options", {}), "options", None)),
        priority=priority,
        submitted_at=_decode_time(given.get("submitted_at")),
    )


def encode_transcript(transcript: Transcript) -> dict[str, Any]:
    """The task's return value for `transcript`."""
    return {"v": VERSION, **asdict(transcript)}


def decode_transcript(encoded: Mapping[str, Any]) -> Transcript:
    """The transcript that a stored return value holds.

    Raises:
        EngineError: the value is not a transcript, so not written by a Segue worker.
    """
    try:
        values = {name: value for name, value in encoded.items() if name != "v"}
        values["segments"] = tuple(
            Segment(**{**segment, "tokens": tuple(segment["tokens"])}) for segment in values["segments"]
        )
        values["warnings"] = tuple(values["warnings"])
        values["timings"] = Timings(**values["timings"]) if values["timings"] else None
        return Transcript(**values)
    except (AttributeError, KeyError, TypeError) as error:
        raise EngineError("the stored result is not a transcript", "BAD_RESULT") from error


def decode_error(stored: object) -> TranscriptionError:
    """The error that a stored failure holds, as Celery writes it: `exc_type` and `exc_message`."""
    given = stored if isinstance(stored, Mapping) else {}
    kind = BY_NAME.get(str(given.get("exc_type")), EngineError)
    arguments = given.get("exc_message")
    if not isinstance(arguments, list | tuple) or not all(isinstance(part, str) for part in arguments):
        return kind(str(arguments)[:500])
    return kind(*arguments[:2]) if arguments else kind("no message")


def _decode_payload(audio: object) -> Payload:
    given = _mapping(audio, "audio", _AUDIO_FIELDS)
    samples = given.get("samples")
    if isinstance(samples, bool) or not isinstance(samples, int):
        raise RequestError(f"audio.samples is {repr(samples)[:40]}: expected a whole number")
    try:
        encoding = Encoding(given.get("encoding", ""))
    except ValueError:
        raise RequestError(
            f"audio.encoding is {repr(given.get('encoding'))[:40]}: expected one of {', '.join(Encoding)}",
            "UNSUPPORTED_FORMAT",
        ) from None
    key = given.get("key")
    if key is not None and not isinstance(key, str):
        raise RequestError(f"audio.key is {repr(key)[:40]}: expected text")
    inline = _decode_base64(given["base64"]) if "base64" in given else None
    return Payload(encoding=encoding, samples=samples, key=key, inline=inline)


def _decode_base64(text: object) -> bytes:
    if not isinstance(text, str):
        raise RequestError("audio.base64 is not text", "BAD_BASE64")
    if len(text) > MAX_INLINE_BYTES * 4 // 3 + 4:
        raise RequestError(
            f"audio.base64 has {len(text)} characters, inline audio is limited to {MAX_INLINE_BYTES} bytes",
            "TOO_LARGE",
        )
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"audio.base64 is not base64: {error}", "BAD_BASE64") from None


def _decode_time(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise RequestError(f"submitted_at is {repr(value)[:40]}: expected seconds since the epoch")
    return float(value)


def _mapping(value: object, what: str, known: frozenset[str] | None) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RequestError(f"{what} is {type(value).__name__}: expected an object")
    unknown = sorted(str(name)[:40] for name in value if known is not None and name not in known)
    if unknown:
        raise RequestError(f"{what} has unknown fields: {', '.join(unknown)}")
    return value
