"""What Redis holds of a request: where it is, its result once there is one, and how to cancel it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from producer.exchange import Exchange
from protocol.errors import Cancelled, DeadlineExceeded, EngineError, TranscriptionError
from protocol.request import Priority
from protocol.routing import cancel_key, payload_key, queue_key, result_key
from protocol.transcript import Status, Transcript
from protocol.wire import decode_error, decode_transcript

Outcome: TypeAlias = Transcript | TranscriptionError
"""How a request ended."""

#: Celery's states (`celery.states`) of a request that has no final result yet.
_STATUS = {"PENDING": Status.QUEUED, "RETRY": Status.QUEUED, "STARTED": Status.RUNNING}


def outcomes(request_ids: Sequence[str]) -> Exchange[list[Outcome | None]]:
    """How each request ended; None for those that have not."""

    def read(answers: list[Any]) -> list[Outcome | None]:
        stored, marks = answers or ([], [])
        return [_outcome(_meta(one), mark) for one, mark in zip(stored, marks, strict=True)]

    return Exchange(commands=_lookups(request_ids), read=read)


def statuses(request_ids: Sequence[str]) -> Exchange[list[Status]]:
    """Where each request is."""
    waiting = [("EXISTS", payload_key(request_id)) for request_id in request_ids]

    def read(answers: list[Any]) -> list[Status]:
        stored, marks, *audio = answers or ([], [])
        found = zip(stored, marks, audio, strict=True)
        return [_status(_meta(one), mark is not None, bool(waits)) for one, mark, waits in found]

    return Exchange(commands=[*_lookups(request_ids), *waiting], read=read)


def cancellation(request_id: str, payload_ttl: int) -> Exchange[bool]:
    """Mark a request as cancelled, for as long as its audio may wait; was it still waiting?

    All at one instant, and a worker looks for the mark at the instant at which it says that it starts:
    so a request that was waiting never runs. If it was not, `withdrawal` must follow.
    """

    def read(answers: list[Any]) -> bool:
        stored, waits, _ = answers
        return _status(_meta(stored), False, bool(waits)) is Status.QUEUED

    commands = [
        ("GET", result_key(request_id)),
        ("EXISTS", payload_key(request_id)),
        ("SET", cancel_key(request_id), "1", "EX", payload_ttl),
    ]
    return Exchange(commands=commands, read=read, transaction=True)


def withdrawal(request_id: str) -> Exchange[None]:
    """Remove the mark of a request that was not waiting any more."""
    return Exchange(commands=[("DEL", cancel_key(request_id))], read=lambda _: None)


def depths() -> Exchange[dict[str, int]]:
    """How many messages wait in Redis, by priority."""
    names = [str(priority) for priority in Priority]
    return Exchange(
        commands=[("LLEN", queue_key(priority)) for priority in Priority],
        read=lambda answers: dict(zip(names, answers, strict=True)),
    )


def _lookups(request_ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """Commands for the stored states and the marks of all requests."""
    if not request_ids:
        return []
    return [("MGET", *map(result_key, request_ids)), ("MGET", *map(cancel_key, request_ids))]


def _meta(stored: bytes | None) -> dict[str, Any] | None:
    """What Celery's result backend holds of a request; None if there is nothing."""
    if stored is None:
        return None
    try:
        meta = json.loads(stored)
    except ValueError:
        return {}
    return meta if isinstance(meta, dict) else {}


def _status(meta: dict[str, Any] | None, cancelled: bool, waits: bool) -> Status:
    state = meta.get("status") if meta is not None else "PENDING" if waits else None
    if meta is None and state is None:
        return Status.UNKNOWN
    if state == "SUCCESS":
        return Status.COMPLETED
    if state == "REVOKED":
        return Status.EXPIRED if _has_expired(meta or {}) else Status.CANCELLED
    status = _STATUS.get(str(state), Status.FAILED)
    return Status.CANCELLED if cancelled and status is Status.QUEUED else status


def _outcome(meta: dict[str, Any] | None, mark: bytes | None) -> Outcome | None:
    status = _status(meta, mark is not None, True)
    if status in (Status.QUEUED, Status.RUNNING):
        return None
    if status is Status.CANCELLED:
        return Cancelled("the request was cancelled")
    if status is Status.EXPIRED:
        return DeadlineExceeded("the request expired before it reached the engine")
    return _finished(meta or {})


def _finished(meta: dict[str, Any]) -> Outcome:
    """The transcript or the error that a final result holds."""
    if meta.get("status") == "FAILURE":
        return decode_error(meta.get("result"))
    if meta.get("status") != "SUCCESS":
        return EngineError(f"the stored state is {str(meta.get('status'))[:40]!r}", "BAD_RESULT")
    try:
        return decode_transcript(meta.get("result") or {})
    except TranscriptionError as error:
        return error


def _has_expired(meta: dict[str, Any]) -> bool:
    stored = meta.get("result")
    return isinstance(stored, dict) and "expired" in (stored.get("exc_message") or ())
