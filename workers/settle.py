"""Outcomes → results, events, acknowledgements: each through Celery's own tracer, each batch in one write.

The engine has run before any task does. For every item Celery's tracer then calls the task, which
returns or raises the outcome that was computed for it, so that retries, chains, chords, groups, links
and signals are Celery's own. What the tracer stores and acknowledges meanwhile is held back, and goes
to Redis in one transaction together with the removal of the audio; or in several, if it is much.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.app.task import Context
from celery.app.trace import trace_task
from celery.exceptions import Reject

from protocol.errors import EngineError, GaveUp
from workers.outcome import Outcome
from workers.result_backend import BatchedBackend
from workers.transport.settlement import GivenUp
from workers.turns import turns_of
from workers.writes import Writes

#: What Celery does not count among a task's own headers (`celery.app.task.Context._get_custom_headers`, which
#: makes this set anew for each task).
_CELERYS_HEADERS = frozenset({*vars(Context), "lang", "task", "argsrepr", "kwargsrepr", "compression"})

#: With so many bytes of results a step to Redis is full; the last of them may make it twice as many. A slow
#: network takes that within the time that a worker gives Redis to answer.
PARCEL_BYTES = 4 * 2**20

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


def settle(
    backend: BatchedBackend,
    finished: Sequence[tuple[Any, Outcome]],
    superseded: Sequence[Any] = (),
    *,
    engine_seconds: float,
) -> list[Writes]:
    """Trace and announce each outcome of a batch; returns what `BatchedBackend.write` has to write, in order.

    That is one step, unless there is more than `PARCEL_BYTES` of it.

    Args:
        backend: where the results go; on the same Redis as the messages.
        finished: Celery requests (`workers.strategy.Message`) and what became of them.
        superseded: earlier deliveries of the same requests, which only need to be acknowledged.
        engine_seconds: length of the engine call, shown as each task's runtime.
    """
    parcels: list[Writes] = []
    left = deque(finished)
    while left or not parcels:
        size = 0
        with backend.held_back() as writes:
            while left and size < PARCEL_BYTES:
                size += _end(*left.popleft(), writes, engine_seconds)
        parcels.append(writes)
    for earlier in superseded:
        parcels[-1].acknowledge(earlier.message)
    return parcels


def _end(message: Any, outcome: Outcome, writes: Writes, engine_seconds: float) -> int:
    """Add to `writes` how a request has ended; how many bytes that is."""
    results = writes.settlement.results
    earlier = len(results)
    message.acknowledge_with(writes)
    _trace(message, outcome, engine_seconds)
    if isinstance(outcome, GaveUp):
        given_up = GivenUp(request_id=message.id, tag=message.delivery_tag, reason=outcome.message)
        writes.settlement.given_up.append(given_up)
        writes.settlement.turns += turns_of(message)
    elif message.is_finished:
        writes.end(message, outcome)
    return sum(len(result.value) for result in results[earlier:])


def _trace(message: Any, outcome: Outcome, engine_seconds: float) -> None:
    token = _outcome.set(outcome)
    try:
        _, _, embed = message._payload
        request = {**message.request_dict, "is_eager": False, **(embed or {})}
        request.setdefault("headers", {name: request[name] for name in request.keys() - _CELERYS_HEADERS})
        result, info, _, shown = trace_task(
            message.task, message.id, message.args, message.kwargs, request, app=message.app
        )
    except Reject:
        message.on_failure(ExceptionInfo())
    else:
        message.on_success((1, result, engine_seconds) if info else (0, shown, engine_seconds))
    finally:
        _outcome.reset(token)
