"""A message is read where it waits exactly as Celery will read it, or left alone."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from protocol.request import Encoding, Payload, Priority, Request
from protocol.routing import PRIORITY_NUMBERS, TASK_NAME
from protocol.signing import Keys, digest_of, sign
from protocol.wire import encode_request
from workers.preferences import Preferences
from workers.reading import Reader
from workers.settings import Settings

PREFERENCES = Preferences(Settings(engine="fake"))
KEYS: Keys = {"one": b"s" * 32}
REQUEST = Request(
    request_id="a",
    payload=Payload(encoding=Encoding.PCM, length=8_000, key="segue:audio:a", digest=digest_of(b"a")),
    priority=Priority.URGENT,  # what a message without a number is sent with
    submitted_at=12.5,
)


def message(*args: object, body_encoding: str = "base64", task: str = TASK_NAME, **fields: Any) -> bytes:
    """As kombu writes it; `fields` are headers, and `kwargs` the arguments."""
    kwargs = fields.pop("kwargs", encode_request(REQUEST))
    body = json.dumps([args, kwargs, {"chain": None}])
    coded = base64.b64encode(body.encode()).decode() if body_encoding == "base64" else body
    headers = {"id": "a", "task": task, "eta": None, **fields}
    return json.dumps(
        {"body": coded, "headers": headers, "properties": {"body_encoding": body_encoding}}
    ).encode()


@pytest.mark.parametrize("body_encoding", ["base64", "utf-8"])
def test_plain_messages_are_read(body_encoding: str) -> None:
    """Bodies as our producers write them, and as kombu does by default."""
    assert Reader(None, PREFERENCES)(message(body_encoding=body_encoding)) == REQUEST


@pytest.mark.parametrize("priority", Priority)
def test_priority_is_what_the_message_says(priority: Priority) -> None:
    """As Celery will read it: by the number that says which lane the message went to."""
    sent = json.loads(message())
    sent["properties"]["priority"] = PRIORITY_NUMBERS[priority]
    assert Reader(None, PREFERENCES)(json.dumps(sent).encode()) == replace(REQUEST, priority=priority)


def test_positional_arguments_are_read() -> None:
    """Stock senders may use them."""
    arguments = encode_request(REQUEST)
    sent = message(arguments["audio"], kwargs={"submitted_at": 12.5})
    assert Reader(None, PREFERENCES)(sent) == REQUEST


@pytest.mark.parametrize(
    "sent",
    [
        message(eta="2030-01-01T00:00:00+00:00"),
        message(task="celery.chord_unlock"),
        message(kwargs={"audio": "none"}),
        message(kwargs={"model_pref": "unknown"}),
        message(id=3),
        message(kwargs=[1]),
        b"\xff",
        b"[]",
        b'{"headers": 1}',
        b"[" * 10_000,
        message()[:-40],
    ],
    ids=range(11),
)
def test_what_will_not_run_now_is_left_alone(sent: bytes) -> None:
    """What is due later, is no request, or makes no sense; Celery meets it in its turn."""
    assert Reader(None, PREFERENCES)(sent) is None


def test_unsigned_requests_are_left_alone() -> None:
    """Where keys are set nothing of a stranger's is fetched, let alone decoded, before its turn either."""
    signed = encode_request(REQUEST)
    signed["signature"] = sign(KEYS, "a", signed)
    assert Reader(KEYS, PREFERENCES)(message(kwargs=signed)) == REQUEST
    for forged in (
        message(),
        message(kwargs={**signed, "submitted_at": 13.0}),
        message(id="b", kwargs=signed),
    ):
        assert Reader(KEYS, PREFERENCES)(forged) is None
