"""The one place where requests, transcripts and errors become JSON-able values and back, versioned.

A request is the keyword arguments of the Celery task `workers.transcribe`; a transcript is its return
value; an error is what Celery's result backend stores of an exception. Whatever is decoded here may
come from a stranger: anything wrong raises `RequestError`, and errors are rebuilt from our own table
of classes, never by importing what a message names.
"""

from __future__ import annotations

import base64
import string
from collections.abc import Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any

from protocol.errors import BY_NAME, RETRY_AFTER, EngineError, Overloaded, RequestError, TranscriptionError
from protocol.options import Options
from protocol.request import (
    MAX_INLINE_BYTES,
    Encoding,
    Payload,
    Priority,
    Request,
    check_conversation,
)
from protocol.transcript import Segment, Timings, Transcript, Word

VERSION = 1

_REQUEST_FIELDS = frozenset(
    "audio conversation deadline_at metadata options signature submitted_at tenant v".split()
)
_AUDIO_FIELDS = frozenset({"key", "base64", "digest", "encoding"})

#: No length has more digits; a number of thousands of them is nobody's.
_MOST = 2**53

#: What base64 consists of before its padding (RFC 4648, 4).
_BASE64 = string.ascii_letters + string.digits + "+/"

#: The fields of what is encoded, asked for once: `dataclasses.asdict` asks, and copies, each time, which
#: takes 116 µs for a transcript of one segment where this takes less than 10 (on a shared 2-core machine).
_FIELDS = {kind: tuple(one.name for one in fields(kind)) for kind in (Transcript, Segment, Word, Timings)}
_GETTERS = {kind: attrgetter(*names) for kind, names in _FIELDS.items()}

#: Sets of options that are remembered as checked, and the longest text that one is remembered by: callers
#: use a few of them over and over, and checking takes some thirty comparisons. A prompt of its own for
#: each request is not remembered beyond the first thousand, 0.3 MB.
_OPTIONS_REMEMBERED = 1_000
_OPTIONS_CHARACTERS = 300
_checked: dict[str, Options] = {}


def encode_request(request: Request) -> dict[str, Any]:
    """The keyword arguments of the task for `request`."""
    payload = request.payload
    audio: dict[str, Any] = {
        "encoding": str(payload.encoding),
        length_name(payload.encoding): payload.length,
    }
    if payload.inline is None:
        audio["key"] = payload.key
        if payload.digest is not None:
            audio["digest"] = payload.digest
    else:
        audio["base64"] = base64.b64encode(payload.inline).decode("ascii")
    encoded: dict[str, Any] = {"v": VERSION, "audio": audio}
    if changes := request.options.changes():
        encoded["options"] = changes
    if request.submitted_at is not None:
        encoded["submitted_at"] = request.submitted_at
    if request.deadline_at is not None:
        encoded["deadline_at"] = request.deadline_at
    if request.conversation is not None:
        encoded["conversation"] = request.conversation
    if request.tenant is not None:
        encoded["tenant"] = request.tenant
    if request.metadata is not None:
        encoded["metadata"] = request.metadata
    return encoded


def length_name(encoding: Encoding) -> str:
    """What a payload's length is called in a message: what it counts."""
    return "characters" if encoding is Encoding.TEXT else "samples"


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
        options=_decode_options(given.get("options", {})),
        priority=priority,
        submitted_at=_decode_time("submitted_at", given.get("submitted_at"), "BAD_REQUEST"),
        deadline_at=_decode_time("deadline_at", given.get("deadline_at"), "BAD_DEADLINE"),
        conversation=given.get("conversation"),
        tenant=given.get("tenant"),
        metadata=given.get("metadata"),
    )


def conversation_of(kwargs: object) -> str | None:
    """The conversation that a message with these keyword arguments is a turn of, whatever else is wrong."""
    try:
        return check_conversation(kwargs.get("conversation") if isinstance(kwargs, Mapping) else None)
    except RequestError:
        return None


def encode_transcript(transcript: Transcript) -> dict[str, Any]:
    """The task's return value; what few transcripts have it has only where there is any."""
    encoded = _values(transcript)
    if not transcript.turns_before:
        del encoded["turns_before"]
    for name in ("metadata", "data", "audio"):
        if encoded[name] is None:
            del encoded[name]
    if transcript.audio is not None:
        encoded["audio"] = base64.b64encode(transcript.audio).decode("ascii")
    encoded["segments"] = [encode_segment(segment) for segment in transcript.segments]
    encoded["timings"] = None if transcript.timings is None else encode_timings(transcript.timings)
    return {"v": VERSION, **encoded}


def encode_segment(segment: Segment) -> dict[str, Any]:
    """A segment as it stands in its transcript; it has `words` only if they were asked for."""
    encoded = _values(segment)
    if segment.words is None:
        del encoded["words"]
    else:
        encoded["words"] = [_values(word) for word in segment.words]
    return encoded


def encode_timings(timings: Timings) -> dict[str, Any]:
    """The receipt as it stands in its transcript, without what is None."""
    return {name: value for name, value in _values(timings).items() if value is not None}


def decode_transcript(encoded: Mapping[str, Any]) -> Transcript:
    """The transcript that a stored return value holds.

    Raises:
        EngineError: the value is not a transcript, so not written by a Segue worker.
    """
    try:
        values = {name: encoded[name] for name in _FIELDS[Transcript] if name in encoded}
        values["segments"] = tuple(map(decode_segment, values["segments"]))
        values["warnings"] = tuple(values["warnings"])
        values["timings"] = Timings(**values["timings"]) if values["timings"] else None
        if values.get("audio") is not None:
            values["audio"] = base64.b64decode(values["audio"], validate=True)
        return Transcript(**values)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EngineError("the stored result is not a transcript", "BAD_RESULT") from error


def decode_segment(encoded: Mapping[str, Any]) -> Segment:
    """The segment that was encoded with its transcript."""
    words = encoded.get("words")
    return Segment(
        **{
            **encoded,
            "tokens": tuple(encoded["tokens"]),
            "words": None if words is None else tuple(Word(**word) for word in words),
        }
    )


def decode_error(stored: object) -> TranscriptionError:
    """The error that a stored failure holds, as Celery writes it: `exc_type` and `exc_message`."""
    given = stored if isinstance(stored, Mapping) else {}
    kind = BY_NAME.get(str(given.get("exc_type")), EngineError)
    arguments = given.get("exc_message")
    if kind is Overloaded and isinstance(arguments, list | tuple) and len(arguments) == 3:
        message, code, wait = arguments
        return Overloaded(str(message)[:500], str(code), _decode_wait(wait))
    if not isinstance(arguments, list | tuple) or not all(isinstance(part, str) for part in arguments):
        return kind(str(arguments)[:500])
    return kind(*arguments[:2]) if arguments else kind("no message")


def _decode_options(given: object) -> Options:
    """The options that a message names; those seen before need not be checked again.

    What comes from a message is plain data, whose `repr` tells even True from 1 and 1 from 1.0.
    """
    text = repr(given)
    if (checked := _checked.get(text)) is None:
        checked = Options.of(_mapping(given, "options", None))
        if len(_checked) < _OPTIONS_REMEMBERED and len(text) <= _OPTIONS_CHARACTERS:
            _checked[text] = checked
    return checked


def _decode_payload(audio: object) -> Payload:
    encoding = _decode_encoding(_mapping(audio, "audio", None).get("encoding"))
    count = length_name(encoding)
    given = _mapping(audio, "audio", _AUDIO_FIELDS | {count})
    length = given.get(count)
    if isinstance(length, bool) or not isinstance(length, int) or abs(length) > _MOST:
        raise RequestError(f"audio.{count} is {repr(length)[:40]}: expected a whole number up to {_MOST}")
    key = given.get("key")
    if key is not None and not isinstance(key, str):
        raise RequestError(f"audio.key is {repr(key)[:40]}: expected text")
    digest = given.get("digest")
    if digest is not None and not isinstance(digest, str):
        raise RequestError(f"audio.digest is {repr(digest)[:40]}: expected text")
    inline = _decode_base64(given["base64"]) if "base64" in given else None
    return Payload(encoding=encoding, length=length, key=key, inline=inline, digest=digest)


def _decode_encoding(given: object) -> Encoding:
    try:
        return Encoding(given)  # type: ignore[arg-type]  # anything may have been given
    except ValueError:
        raise RequestError(
            f"audio.encoding is {repr(given)[:40]}: expected one of {', '.join(Encoding)}",
            "UNSUPPORTED_FORMAT",
        ) from None


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
    except ValueError as error:  # `binascii.Error` is one
        at = len(text) - len(text.lstrip(_BASE64))
        raise RequestError(
            f"audio.base64 is not base64 from character {at} on: {error}", "BAD_BASE64"
        ) from None


def _decode_time(name: str, value: object, code: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise RequestError(f"{name} is {repr(value)[:40]}: expected seconds since the epoch", code)
    return float(value)


def _decode_wait(value: object) -> float:
    """Seconds, or what is said where nothing is known."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        return RETRY_AFTER
    return float(value)


def _mapping(value: object, what: str, known: frozenset[str] | None) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RequestError(f"{what} is {type(value).__name__}: expected an object")
    if known is not None and not value.keys() <= known:
        unknown = sorted(str(name)[:40] for name in value.keys() - known)
        raise RequestError(f"{what} has unknown fields: {', '.join(unknown)}")
    return value


def _values(value: Transcript | Segment | Word | Timings) -> dict[str, Any]:
    kind = type(value)
    return dict(zip(_FIELDS[kind], _GETTERS[kind](value), strict=True))
