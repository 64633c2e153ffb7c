"""The tasks: names and options only. What a task returns was computed for its whole batch before."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from protocol.errors import TranscriptionError
from protocol.routing import TASK_NAME
from workers.outcome import Encoded
from workers.settle import current_outcome


@shared_task(  # type: ignore[untyped-decorator]
    name=TASK_NAME,
    bind=True,
    Strategy="workers.strategy:batched",
    throws=(TranscriptionError,),
    typing=False,
)
def transcribe(self: Any, *_: Any, **__: Any) -> Encoded:
    """Transcribe one audio segment, or do with it, or with a text, whatever else the model is for.

    The arguments were read and checked by `workers.strategy` when the message came; a sender gives,
    by name or in this order:

    Args:
        audio: ``{"key": …, "encoding": "pcm_s16le" | "flac", "samples": n}`` or, for models that take text,
            ``{"key": …, "encoding": "utf-8", "characters": n}``; with ``"base64"`` instead of ``"key"`` for
            at most 32 768 bytes.
        options: faster-whisper's names, see `protocol.options.Options`.
        submitted_at: when it was enqueued, in seconds since the epoch on Redis's clock.
        v: schema version.

    Returns:
        A transcript as `protocol.wire.encode_transcript` writes it; in the worker itself a mapping that shows
        no text (`workers.outcome.Encoded`).
    """
    outcome = current_outcome()
    if isinstance(outcome, TranscriptionError):
        if outcome.retryable:
            settings = self.app.settings
            raise self.retry(exc=outcome, countdown=settings.retry_delay, max_retries=settings.max_retries)
        raise outcome
    return outcome
