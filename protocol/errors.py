"""The ways a request can fail: whose fault it is, whether again helps, and what to tell the world.

The class says whose fault it is, `retryable` whether the same request may succeed later, and `code`
is the stable name that goes over the wire and into metric labels. The message names the offending
value and the limit, never the audio or the text.
"""

from typing import ClassVar

#: Seconds until another try where nobody knows how fast the workers are, or whether there are any: asking
#: costs next to nothing, and a person hardly notices that much.
RETRY_AFTER = 1.0


class TranscriptionError(Exception):
    """Base of everything Segue raises about one request.

    `args` is `(message, code)`, so that Celery's result backend can store and rebuild it.
    """

    default_code: ClassVar[str] = "ERROR"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, code: str | None = None) -> None:
        self.message = message
        self.code = code or self.default_code
        super().__init__(message, self.code)

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


class RequestError(TranscriptionError):
    """The caller's fault: a bad option, unreadable audio, audio too long. Again does not help."""

    default_code = "BAD_REQUEST"


class Overloaded(TranscriptionError):
    """Refused at the door, and nothing of it kept; may succeed after `retry_after` seconds.

    `args` is `(message, code, retry_after)`.
    """

    default_code = "OVERLOADED"
    retryable = True

    def __init__(self, message: str, code: str | None = None, retry_after: float = RETRY_AFTER) -> None:
        super().__init__(message, code)
        self.retry_after = retry_after
        self.args = (*self.args, retry_after)


class QueueUnreachable(TranscriptionError):
    """Redis did not answer in time. Whether a submit arrived is unknown; repeating it with the same
    `request_id` and audio is safe."""

    default_code = "QUEUE_UNREACHABLE"
    retryable = True


class ResultTimeout(TranscriptionError, TimeoutError):
    """No result arrived within the timeout; the request goes on and its result can be asked for later."""

    default_code = "RESULT_TIMEOUT"
    retryable = True


class DeadlineExceeded(TranscriptionError):
    """Too late: the request expired before it reached the engine, or its deadline before it was queued."""

    default_code = "EXPIRED"


class Cancelled(TranscriptionError):
    """Someone cancelled the request."""

    default_code = "CANCELLED"


class GaveUp(TranscriptionError):
    """The request brought its engine down too often, running alone."""

    default_code = "GAVE_UP"


class EngineError(TranscriptionError):
    """Ours: the engine failed on this request."""

    default_code = "ENGINE_ERROR"


class EngineLost(EngineError):
    """Ours: the engine process went away under the request."""

    default_code = "ENGINE_LOST"
    retryable = True


class PayloadUnreachable(EngineError):
    """Ours: Redis did not give the engine the audio in time."""

    default_code = "PAYLOAD_UNREACHABLE"
    retryable = True


class OutOfMemory(EngineError):
    """Ours: the device has not enough memory for this audio segment, even alone."""

    default_code = "OUT_OF_MEMORY"


#: Error classes by name, for the wire: a name that is not here becomes a plain `EngineError`.
BY_NAME: dict[str, type[TranscriptionError]] = {
    kind.__name__: kind
    for kind in (
        RequestError,
        Overloaded,
        QueueUnreachable,
        ResultTimeout,
        DeadlineExceeded,
        Cancelled,
        GaveUp,
        EngineError,
        EngineLost,
        PayloadUnreachable,
        OutOfMemory,
    )
}
