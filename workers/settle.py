"""Outcomes → results, events, acknowledgements: each through Celery's own tracer, each batch in one write.

The engine has run before any task does. For every item Celery's tracer then calls the task, which
returns or raises the outcome that was computed for it, so that retries, chains, chords, groups, links
and signals are Celery's own. What the tracer stores and acknowledges meanwhile is held back, and goes
to Redis in one transaction together with the removal of the audio.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from billiard.einfo import ExceptionInfo
from celery import states
from celery.app.trace import trace_task
from celery.backends.redis import RedisBackend
from celery.exceptions import Reject
from kombu.exceptions import DecodeError
from kombu.transport.virtual import QoS

from protocol.errors import EngineError, TranscriptionError
from protocol.routing import cancel_key, payload_key
from workers.transport.claims import Claims, Result

log = logging.getLogger(__name__)

Outcome = dict[str, Any] | TranscriptionError
"""A transcript as `protocol.wire.encode_transcript` writes it, or why there is none."""

_outcome: ContextVar[Outcome] = ContextVar("outcome")


def current_outcome() -> Outcome:
    """The outcome of the request whose task is being traced.

    Raises:
        EngineError: the task was called outside a worker, where no batch has run.
    """
    try:
        return _outcome.get()
    except LookupError:
        raise EngineError("this task runs in a Segue worker only", "NO_ENGINE") from None


@dataclass(slots=True)
class Writes:
    """What a batch has to write, held back until it is whole."""

    results: list[tuple[str, bytes | str, int]] = field(default_factory=list)
    """Key, value, and for how many seconds it is kept."""
    acknowledged: list[Any] = field(default_factory=list)
    payloads: list[str] = field(default_factory=list)


class BatchedBackend(RedisBackend):  # type: ignore[misc]
    """Celery's Redis result backend, which can hold back results and write them together."""

    writes: Writes | None = None
    claims: Claims | None = None
    """How to write if the messages were claimed; None if kombu's own transport delivers them."""

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **kwargs: Any,
    ) -> Any:
        if self.writes is None:
            return super()._store_result(task_id, result, state, traceback, request, **kwargs)
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        meta["task_id"] = task_id
        ttl = self.failure_expires if state == states.FAILURE else self.expires
        self.writes.results.append((self.get_key_for_task(task_id), self.encode(meta), ttl))
        return result

    def started(self, request_ids: Sequence[str], worker: str) -> tuple[set[str], set[str]]:
        """Mark requests as started, and return those that must not: finished ones, and cancelled ones.

        One round trip, at one instant, so that a cancellation is either seen here or sees the start. A
        request that is finished is not computed again when its message comes twice.
        """
        if not request_ids:
            return set(), set()
        keys = [self.get_key_for_task(request_id) for request_id in request_ids]
        started = self._get_result_meta({"hostname": worker}, states.STARTED, None, None)

        def mark() -> list[Any]:
            with self.client.pipeline(transaction=True) as pipe:
                pipe.mget(keys)
                pipe.mget([cancel_key(request_id) for request_id in request_ids])
                for request_id, key in zip(request_ids, keys, strict=True):
                    meta = self.encode({**started, "task_id": request_id})
                    pipe.set(key, meta, ex=self.expires or None, nx=True)
                return list(pipe.execute()[:2])

        metas, marks = self.ensure(mark, ())
        finished = {
            request_id
            for request_id, meta in zip(request_ids, metas, strict=True)
            if meta and self._is_final(meta)
        }
        marked = {request_id for request_id, mark in zip(request_ids, marks, strict=True) if mark}
        return finished, marked - finished

    def _is_final(self, meta: bytes) -> bool:
        """Whether this is a result that will not change; junk that somebody put there is none."""
        try:
            return self.decode_result(meta)["status"] in states.READY_STATES
        except (DecodeError, KeyError, TypeError, ValueError):
            return False

    @contextmanager
    def held_back(self) -> Iterator[Writes]:
        """Hold back what is stored inside, for `write` to write together."""
        self.writes = writes = Writes()
        try:
            yield writes
        finally:
            self.writes = None

    def write(self, writes: Writes) -> None:
        """Write a batch's results and acknowledgements and remove its audio, in one transaction.

        Safe to repeat.

        Raises:
            redis.RedisError: Redis is away or full; nothing is known to be written.
            LeaseLost: the messages run elsewhere; nothing was written.
        """
        if self.claims is not None:
            results = [Result(key=key, value=value, ttl=ttl) for key, value, ttl in writes.results]
            self.claims.settle(results, [one.delivery_tag for one in writes.acknowledged], writes.payloads)
        else:
            self._write_for_kombu(writes)
        for message in writes.acknowledged:
            _mark_acknowledged(message)

    def _write_for_kombu(self, writes: Writes) -> None:
        with self.client.pipeline(transaction=True) as pipe:
            for key, value, ttl in writes.results:
                pipe.set(key, value, ex=ttl)
                pipe.publish(key, value)
            for message in writes.acknowledged:
                qos = message.channel.qos
                pipe.zrem(qos.unacked_index_key, message.delivery_tag)
                pipe.hdel(qos.unacked_key, message.delivery_tag)
            if writes.payloads:
                pipe.unlink(*writes.payloads)
            pipe.execute()


def settle(
    backend: BatchedBackend,
    finished: Sequence[tuple[Any, Outcome]],
    superseded: Sequence[Any] = (),
    *,
    engine_seconds: float,
) -> Writes:
    """Trace and announce each outcome of a batch; returns what `BatchedBackend.write` has to write.

    Args:
        backend: where the results go; on the same Redis as the messages.
        finished: Celery requests (`workers.strategy.Message`) and what became of them.
        superseded: earlier deliveries of the same requests, which only need to be acknowledged.
        engine_seconds: length of the engine call, shown as each task's runtime.
    """
    with backend.held_back() as writes:
        for message, outcome in finished:
            message.acknowledge_with(writes)
            _trace(message, outcome, engine_seconds)
            if message.is_finished:
                writes.payloads.append(payload_key(message.id))
        writes.acknowledged.extend(earlier.message for earlier in superseded)
    return writes


def _trace(message: Any, outcome: Outcome, engine_seconds: float) -> None:
    token = _outcome.set(outcome)
    try:
        _, _, embed = message._payload
        request = {**message.request_dict, "is_eager": False, **(embed or {})}
        result, info, _, _ = trace_task(
            message.task, message.id, message.args, message.kwargs, request, app=message.app
        )
    except Reject:
        message.on_failure(ExceptionInfo())
    else:
        message.on_success((1, result, engine_seconds) if info else (0, summary(outcome), engine_seconds))
    finally:
        _outcome.reset(token)


def summary(outcome: Outcome) -> str:
    """What Flower shows as the result: where the request ran, never what was said."""
    if isinstance(outcome, TranscriptionError):
        return outcome.code
    receipt = outcome["timings"]
    return (
        f"{len(outcome['text'])} characters, {outcome['language']},"
        f" batch {receipt['batch_id']} ({receipt['batch_position'] + 1} of {receipt['batch_size']})"
    )


def _mark_acknowledged(message: Any) -> None:
    """Tell kombu what the transaction has already told Redis."""
    QoS.ack(message.channel.qos, message.delivery_tag)
    message._state = "ACK"
