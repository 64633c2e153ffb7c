"""The predecessor's `model_client`: its call as it stands, over `producer.Client`.

`docs/predecessor.md` says what is different.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from producer.client import Client
from producer.direct_batch import DirectBatch
from producer.pending import DEFAULT_TIMEOUT
from producer.plain import check_timeout, failed
from protocol.errors import RequestError, TranscriptionError

#: Longest wait for a batch, in seconds: as long as results are kept.
MAX_TIMEOUT = 86_400


def generate(
    prompt: object = "",  # noqa: ARG001 - callers of the predecessor give it
    model_pref: str = "quality",
    *,
    batch_mode: bool = False,
    batch_data: object = (),
    language: str | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    client: Client | None = None,
) -> dict[str, Any]:
    """Transcribe the entries of `batch_data` and wait for all; never raises what went wrong with them.

    Args:
        prompt: an instruction such as "Batch transcribe audio to text". There is only one thing to do here,
            so nothing is made of it; it is not Whisper's prompt.
        model_pref: ``"quality"``, ``"balanced"`` or ``"fast"``.
        batch_mode: must be True; without it the predecessor generated text.
        batch_data: a list of ``{"audio_data": [...], "sample_rate": 16000, "request_id": "sample1"}``, of
            which only the first must be there.
        language: of all entries, Whisper's code; None detects it in each.
        timeout: seconds to wait in all, 0 to 86 400, for room in the queue too.
        client: None makes one for ``REDIS_URL``, once in a process.

    Returns:
        ``{"status": "success", "results": [...], "warnings": [...]}``, with a result for each entry, in
        their order: what a `Transcript` holds, or an ``error`` of `code`, `message` and `retryable`. The
        status is ``"error"``, with such an ``error``, if every entry failed or the call made no sense.
    """
    try:
        _check_mode(batch_mode)
        seconds = check_timeout(timeout, MAX_TIMEOUT)
        batch = DirectBatch(batch_data, model_pref=model_pref, language=language)
        outcomes = (client or _client()).transcribe_batch(batch.audios, timeout=seconds, **batch.given)
    except TranscriptionError as error:
        return failed(error)
    return batch.answer(outcomes)


def _check_mode(batch_mode: object) -> None:
    if batch_mode is not True:
        raise RequestError(
            f"batch_mode is {repr(batch_mode)[:40]}: expected True, since only audio is transcribed here"
        )


@cache
def _client() -> Client:
    """The client of those who give none."""
    return Client()
