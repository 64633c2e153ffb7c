"""What Redis holds of a request: where it is, its result once there is one, and how to cancel it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from producer.exchange import Exchange
from protocol.errors import Cancelled, DeadlineExceeded, EngineError, RequestError, TranscriptionError
from protocol.fast_json import loads
from protocol.request import Priority
from protocol.routing import LEASES, cancel_key, id_key, payload_key, queue_key, result_key
from protocol.transcript import ON_ITS_WAY, Status, Timings, Transcript
from protocol.wire import decode_error, decode_transcript

Outcome: TypeAlias = Transcript | TranscriptionError
"""How a request ended."""

Said = TypeVar("Said")

#: Celery's states (`celery.states`) of a request that has no final result yet.
_STATUS = {
    "PENDING": Status.QUEUED,
    "RETRY": Status.QUEUED,
    "RECEIVED": Status.BATCHED,
    "STARTED": Status.RUNNING,
}

#: Where a request can be cancelled.
_WAITING = frozenset({Status.QUEUED, Status.BATCHED})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a look has found of one request."""

    meta: dict[str, Any] | None
    """What Celery's result backend holds of it; None if there is nothing."""
    is_cancelled: bool
    waits: bool = True
    """Whether its audio is there."""
    is_known: bool = True
    """Whether its id was accepted, however long ago."""
    leases: Collection[str] | None = None
    """Those of the workers that live; None if nobody has asked."""

    @property
    def status(self) -> Status:
        """Where the request is."""
        if self.meta is None or self._was_given_back:
            return self._without_state()
        state = self.meta.get("status")
        if state == "SUCCESS":
            return Status.COMPLETED
        if state == "REVOKED":
            return Status.EXPIRED if _has_expired(self.meta) else Status.CANCELLED
        status = _STATUS.get(str(state), Status.FAILED)
        return Status.CANCELLED if self.is_cancelled and status in _WAITING else status

    @property
    def _was_given_back(self) -> bool:
        """Whether the worker that had received it lives no more: then it waits in the queue again."""
        if self.leases is None or self.meta is None or self.meta.get("status") != "RECEIVED":
            return False
        return self.meta.get("lease") not in self.leases

    def _without_state(self) -> Status:
        if not self.waits and not self.is_known:
            return Status.UNKNOWN
        if self.is_cancelled:
            return Status.CANCELLED
        return Status.QUEUED if self.waits else Status.EXPIRED


def outcomes(request_ids: Sequence[str]) -> Exchange[list[Outcome | None]]:
    """How each request ended; None for those that have not, or of which nothing is kept. A cheap look."""

    def read(answers: list[Any]) -> list[Outcome | None]:
        stored, marks = answers or ([], [])
        return [
            _outcome(name, _Found(meta=_meta(one), is_cancelled=mark is not None))
            for name, one, mark in zip(request_ids, stored, marks, strict=True)
        ]

    return Exchange(commands=_lookups(request_ids), read=read)


def told(request_id: str, published: bytes) -> Outcome | None:
    """How a request ended, by what was published when its state was written; None if it goes on."""
    return _outcome(request_id, _Found(meta=_meta(published), is_cancelled=False))


def endings(request_ids: Sequence[str]) -> Exchange[list[Outcome | None]]:
    """As `outcomes`, and a request of which nothing is kept any more has ended too. A thorough look."""
    return _thorough(request_ids, _outcome)


def statuses(request_ids: Sequence[str]) -> Exchange[list[Status]]:
    """Where each request is."""
    return _thorough(request_ids, lambda _, found: found.status)


def receipts(request_ids: Sequence[str]) -> Exchange[list[Timings | None]]:
    """The receipt of each request that has a transcript. A cheap look."""
    look = outcomes(request_ids)

    def read(answers: list[Any]) -> list[Timings | None]:
        return [one.timings if isinstance(one, Transcript) else None for one in look.read(answers)]

    return Exchange(commands=look.commands, read=read)


def cancellation(request_id: str, payload_ttl: int) -> Exchange[bool]:
    """Mark a request as cancelled, for as long as its audio may wait; was it still waiting?

    All at one instant, and a worker looks for the mark at the instant at which it says that it starts:
    so a request that was waiting never runs. If it was not, `withdrawal` must follow.
    """

    def read(answers: list[Any]) -> bool:
        stored, waits, _ = answers
        found = _Found(meta=_meta(stored), is_cancelled=False, waits=bool(waits))
        return found.status in _WAITING

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


def _thorough(request_ids: Sequence[str], say: Callable[[str, _Found], Said]) -> Exchange[list[Said]]:
    """What `say` makes of each request, all looked at in one instant: between two, one may be settled."""

    def read(answers: list[Any]) -> list[Said]:
        stored, marks, ids, time, leases, *audio = answers or ([], [], [], (0, 0), [])
        alive = _alive(leases, time)
        found = (
            _Found(
                meta=_meta(one),
                is_cancelled=mark is not None,
                is_known=known is not None,
                waits=bool(waits),
                leases=alive,
            )
            for one, mark, known, waits in zip(stored, marks, ids, audio, strict=True)
        )
        return [say(name, one) for name, one in zip(request_ids, found, strict=True)]

    audio = [("EXISTS", payload_key(request_id)) for request_id in request_ids]
    others = [("MGET", *map(id_key, request_ids)), ("TIME",), ("ZRANGE", LEASES, 0, -1, "WITHSCORES")]
    commands = [*_lookups(request_ids), *others, *audio] if request_ids else []
    return Exchange(commands=commands, read=read, transaction=True)


def _alive(leases: Sequence[Any], time: Sequence[Any]) -> frozenset[str]:
    """The leases that have not run out at `time`, Redis's own in seconds and microseconds."""
    now = int(time[0]) * 1_000 + int(time[1]) // 1_000
    nested = leases and isinstance(leases[0], list | tuple)  # from redis-py 8 on
    pairs = leases if nested else zip(leases[::2], leases[1::2], strict=True)
    return frozenset(worker.decode() for worker, ends_at in pairs if float(ends_at) > now)


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
        meta = loads(stored)
    except ValueError:
        return {}
    return meta if isinstance(meta, dict) else {}


def _outcome(request_id: str, found: _Found) -> Outcome | None:
    status = found.status
    if status in ON_ITS_WAY or status is Status.UNKNOWN:
        return None
    if status is Status.CANCELLED:
        return Cancelled("the request was cancelled")
    if found.meta is None:
        return result_expired(request_id)
    if status is Status.EXPIRED:
        return DeadlineExceeded("the request expired before it reached the engine")
    return _finished(found.meta)


def result_expired(request_id: str) -> RequestError:
    """The error for a request of which neither result nor audio is kept any more."""
    return RequestError(f"nothing is kept of request {request_id} any more", "RESULT_EXPIRED")


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
