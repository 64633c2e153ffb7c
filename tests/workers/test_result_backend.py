"""Tests of `workers.result_backend`; what needs a Redis is in `tests/integration/`."""

from decimal import Decimal
from typing import Any

from celery import states

from workers.app import make_app
from workers.outcome import Encoded
from workers.result_backend import batched_backend
from workers.settings import Settings


def stored(result: Any, state: str = states.SUCCESS) -> Any:
    """What a client finds of `result`, once it is written."""
    backend = batched_backend(make_app(Settings()))
    with backend.held_back() as writes:
        backend.store_result("id", result, state)
    return backend.decode_result(writes.settlement.results[0].value)


def test_a_transcript_is_stored_as_what_it_holds() -> None:
    """Whoever reads the result finds the transcript itself, in Celery's own form."""
    meta = stored(Encoded({"text": "said", "segments": []}))
    assert meta["result"] == {"text": "said", "segments": []}
    assert (meta["status"], meta["task_id"]) == ("SUCCESS", "id")


def test_what_is_no_plain_data_is_stored_as_celery_does() -> None:
    """An error may hold anything that kombu knows how to write."""
    assert stored(Decimal("1.5"))["result"] == Decimal("1.5")
