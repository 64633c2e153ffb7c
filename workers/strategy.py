"""The border to Celery: messages → items. What Celery does to a request before it runs is done here.

Revoked and expired requests never reach a batch, ETA and countdown wait on Celery's timer, `inspect`
sees what is reserved, scheduled and active, and Flower gets its events: all as in Celery's default
strategy (`celery.worker.strategy.default`), except that a request is handed to the batcher instead of
the pool, and that its arguments are never shown.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celery import signals
from celery.exceptions import InvalidTaskError
from celery.worker.request import Request as CeleryRequest
from celery.worker.request import create_request_cls
from celery.worker.state import revoked, task_reserved, task_scheduled
from kombu.exceptions import ContentDisallowed

from protocol.clock import SharedClock
from protocol.errors import RequestError
from protocol.fast_json import loads
from protocol.request import Request
from workers.preferences import Preferences
from workers.reading import lane_number, request_of, wrong_signature
from workers.writes import Writes

#: Events that are published together: a whole batch's in one message (Celery: 24 at a time).
EVENT_BUFFER = 512

#: How long events wait for others, in seconds: a round trip to Redis for each stage of a request would keep
#: the report of a short batch waiting, and nobody who watches sees the difference.
EVENT_SECONDS = 0.02


class Message(CeleryRequest):  # type: ignore[misc]
    """Celery's own request, whose acknowledgement can be written together with its batch's results."""

    acknowledged: bool
    clock: SharedClock
    """Redis's: when a request expires does not depend on the clock of the worker that looks."""
    _writes: Writes | None = None
    _retried = False

    @property
    def delivery_tag(self) -> str:
        """By which the message is acknowledged."""
        return str(self.message.delivery_tag)

    @property
    def priority_number(self) -> int:
        """The number of the lane that the message was sent to."""
        return lane_number(self.delivery_info.get("priority"))

    def maybe_expire(self) -> bool:
        """Whether the request is not worth starting any more; then it counts as revoked."""
        if not self.expires or self.clock.now() <= self.expires.timestamp():
            return False
        revoked.add(self.id)
        return True

    def acknowledge_with(self, writes: Writes) -> None:
        """Let `writes` carry the acknowledgement, when it comes."""
        self._writes = writes

    def acknowledge(self) -> None:
        """Acknowledge now, or with the batch."""
        if self._writes is None or self.acknowledged:
            super().acknowledge()
            return
        self._writes.acknowledge(self.message)
        self.acknowledged = True

    def on_retry(self, exc_info: Any) -> None:
        """Remember that the request goes on, so that its audio is kept."""
        self._retried = True
        super().on_retry(exc_info)

    @property
    def is_finished(self) -> bool:
        """Whether nobody will want the audio again."""
        return self.acknowledged and not self._retried


def batched(task: Any, app: Any, consumer: Any) -> Callable[..., None]:
    """The strategy of `workers.transcribe`: called by Celery for each message, on the worker's event loop."""
    dispatcher = consumer.pool.dispatcher
    gate = dispatcher.gate
    eventer = consumer.event_dispatcher
    kind = create_request_cls(Message, task, consumer.pool, consumer.hostname, eventer, app=app)
    utc = app.uses_utc_timezone()
    keys = app.settings.signing_keys()
    preferences = Preferences(app.settings)
    dispatcher.batches.use(eventer)
    if eventer is not None:
        eventer.buffer_limit = EVENT_BUFFER
        eventer.on_send_buffered = _soon(consumer.hub, eventer.flush)

    def on_message(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **_: Any) -> None:
        if body is not None:
            raise InvalidTaskError("task message protocol 1 is not spoken here; send with Celery 4 or newer")
        try:
            _read(message)
            received = kind(
                message,
                on_ack=ack,
                on_reject=reject,
                app=app,
                hostname=consumer.hostname,
                eventer=eventer,
                task=task,
                connection_errors=consumer.connection_errors,
                body=message.body,
                headers=message.headers,
                decoded=False,
                utc=utc,
            )
        except (InvalidTaskError, ContentDisallowed):
            raise
        except Exception as error:  # whatever else a stranger's message does to the constructor
            raise InvalidTaskError(f"malformed message: {type(error).__name__}: {error}") from error
        received.clock = dispatcher.clock
        if not isinstance(received.id, str) or not received.id:
            raise InvalidTaskError(f"the task id is {repr(received.id)[:40]}, not text")
        if keys is not None and (wrong := wrong_signature(keys, received)):
            gate.bury(received, wrong)
            return
        if (received.expires or received.id in revoked) and gate.drops(received):
            return
        request = request_of(received, preferences)
        if gate.demotes(received, request, dispatcher.clock.now()):
            dispatcher.metrics.demoted()
            return
        signals.task_received.send(sender=consumer, request=received)
        _announce(received, request)
        if received.eta:
            _wait_until_due(consumer, received, request, dispatcher)
            return
        task_reserved(received)
        for callback in callbacks or ():
            callback(received)
        dispatcher.add(received, request)

    return on_message


def _soon(hub: Any, act: Callable[[], object]) -> Callable[[], None]:
    """Lets `act` be called in `EVENT_SECONDS`, however often it is asked for meanwhile."""
    asked = False

    def on_time() -> None:
        nonlocal asked
        asked = False
        act()

    def ask() -> None:
        nonlocal asked
        if not asked:
            asked = True
            hub.call_later(EVENT_SECONDS, on_time)

    return ask


def _read(message: Any) -> None:
    """Parse the body here if it is plain JSON: kombu's decoder calls a function for each object in it."""
    plain = message.content_type == "application/json" and message.content_encoding == "utf-8"
    if plain and isinstance(message.body, bytes) and b"__type__" not in message.body:
        with suppress(ValueError, RecursionError):  # kombu then says what is wrong
            message._decoded_cache = loads(message.body)


def _announce(received: Message, request: Request | RequestError) -> None:
    received.send_event(
        "task-received",
        name=received.name,
        args=describe(request),
        kwargs="",
        root_id=received.root_id,
        parent_id=received.parent_id,
        retries=received.request_dict.get("retries", 0),
        eta=received.eta and received.eta.isoformat(),
        expires=received.expires and received.expires.isoformat(),
    )


def describe(request: Request | RequestError) -> str:
    """What Flower and the logs show of a request: its shape, never its audio or text."""
    if isinstance(request, RequestError):
        return request.code
    options, payload = request.options, request.payload
    language = options.language or "any language"
    if payload.medium == "text":
        return f"{payload.length} characters, {language}, {request.priority}"
    return f"{payload.seconds:.2f} s {payload.encoding}, {language}, {options.task}, {request.priority}"


def _wait_until_due(
    consumer: Any, received: Message, request: Request | RequestError, dispatcher: Any
) -> None:
    """Hold a request with ETA or countdown on Celery's timer; it does not count against the prefetch."""

    def due(received: Message) -> None:
        if dispatcher.is_due(received):
            task_reserved(received)
            dispatcher.add(received, request)
            dispatcher.start_if_due()
        consumer.qos.decrement_eventually()

    dispatcher.delay(received)
    consumer.qos.increment_eventually()
    delay = max(0.0, received.eta.timestamp() - received.clock.now())
    # The request is the timer's first argument because that is where `inspect scheduled` looks for it.
    received._eta_timer_entry = consumer.timer.call_after(delay, due, (received,), priority=6)
    task_scheduled(received)
