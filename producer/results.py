"""What Redis holds of a request: where it is, and its result once there is one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import redis

from producer.connection import redis_errors
from protocol.errors import Cancelled, DeadlineExceeded, EngineError, TranscriptionError
from protocol.routing import payload_key, result_key
from protocol.transcript import Status, Transcript
from protocol.wire import decode_error, decode_transcript

#: Celery's states (`celery.states`) of a request that has no final result yet.
_STATUS = {"PENDING": Status.QUEUED, "RETRY": Status.QUEUED, "STARTED": Status.RUNNING}


def read_metas(connection: redis.Redis, request_ids: Sequence[str]) -> list[dict[str, Any] | None]:
    """What the result backend holds for each request, in one round trip; None where there is nothing."""
    if not request_ids:
        return []
    with redis_errors():
        stored: Any = connection.mget([result_key(request_id) for request_id in request_ids])
    return [json.loads(meta) if meta else None for meta in stored]


def read_statuses(connection: redis.Redis, request_ids: Sequence[str]) -> list[Status]:
    """Where each request is, in one round trip."""
    if not request_ids:
        return []
    with redis_errors(), connection.pipeline(transaction=False) as pipe:
        pipe.mget([result_key(request_id) for request_id in request_ids])
        for request_id in request_ids:
            pipe.exists(payload_key(request_id))
        metas, *waiting = pipe.execute()
    return [
        status_of(json.loads(meta)) if meta else (Status.QUEUED if waits else Status.UNKNOWN)
        for meta, waits in zip(metas, waiting, strict=True)
    ]


def status_of(meta: dict[str, Any]) -> Status:
    """The status that a stored state means."""
    state = meta.get("status")
    if state == "SUCCESS":
        return Status.COMPLETED
    if state == "REVOKED":
        return Status.EXPIRED if _has_expired(meta) else Status.CANCELLED
    return _STATUS.get(str(state), Status.FAILED)


def is_final(meta: dict[str, Any] | None) -> bool:
    """Whether this is a result that will not change."""
    return meta is not None and meta.get("status") not in _STATUS


def outcome_of(meta: dict[str, Any]) -> Transcript | TranscriptionError:
    """The transcript or the error that a final result holds."""
    status = status_of(meta)
    if status is Status.COMPLETED:
        try:
            return decode_transcript(meta["result"])
        except TranscriptionError as error:
            return error
    if status is Status.EXPIRED:
        return DeadlineExceeded("the request expired before it reached the engine")
    if status is Status.CANCELLED:
        return Cancelled("the request was cancelled")
    if meta.get("status") != "FAILURE":
        return EngineError(f"the stored state is {str(meta.get('status'))[:40]!r}", "BAD_RESULT")
    return decode_error(meta.get("result"))


def _has_expired(meta: dict[str, Any]) -> bool:
    stored = meta.get("result")
    return isinstance(stored, dict) and "expired" in (stored.get("exc_message") or ())
