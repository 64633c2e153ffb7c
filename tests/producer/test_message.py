"""Messages that share a form: each is whole, and what differs is its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from producer.message import Form
from protocol.options import Options
from protocol.request import MIN_SAMPLES, Encoding, Payload, Request
from protocol.routing import payload_key
from protocol.signing import check_signature, digest_of

#: What a form could take for one of its own marks, or JSON writes in another way.
AWKWARD = 'äöü % %s %(id)s %% {} {0} "quoted" \\ \\" \n \u2028 \U0001f600'


def example(prompt: str = AWKWARD) -> Request:
    return Request(
        request_id="example",
        payload=Payload(encoding=Encoding.PCM, length=MIN_SAMPLES, key=payload_key("example")),
        options=Options(initial_prompt=prompt),
        submitted_at=1.0,
        conversation="talk",
    )


def filled(form: Form, request_id: str, samples: int = 1_600, payload: bytes = b"") -> dict[str, Any]:
    message = form.fill(request_id, length=samples, submitted_at=1e9 + 0.1, payload=payload)
    return dict(json.loads(message))


def arguments(message: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(message["body"])[1])


@pytest.mark.parametrize("prompt", [AWKWARD, "plain", "123"])
def test_a_form_is_written_as_json_writes_it(prompt: str) -> None:
    """Byte for byte, inside and outside, whatever stands in the options."""
    written = Form(example(prompt)).fill("a", length=1_600, submitted_at=1e9 + 0.1, payload=b"")
    message = json.loads(written)
    assert json.dumps(message).encode() == written
    assert json.dumps(json.loads(message["body"])) == message["body"]
    assert arguments(message)["options"] == {"initial_prompt": prompt}


def test_what_differs_is_each_messages_own() -> None:
    """Id, key, length, time and delivery tag; nothing of the example's is left."""
    form = Form(example())
    one, other = filled(form, "one", 1_600), filled(form, "other", 480_000)
    assert arguments(one)["audio"] == {"encoding": "pcm_s16le", "samples": 1_600, "key": payload_key("one")}
    assert arguments(other)["audio"]["samples"] == 480_000
    assert arguments(one)["submitted_at"] == 1e9 + 0.1
    assert {one["headers"]["id"], one["headers"]["root_id"], one["properties"]["correlation_id"]} == {"one"}
    assert one["properties"]["delivery_tag"] != other["properties"]["delivery_tag"]
    assert "example" not in json.dumps(one)


def test_each_message_is_signed_for_itself() -> None:
    """With its id and its own audio: no message of the form has another's signature."""
    keys = {"key": b"k" * 32}
    form = Form(example(), keys=keys)
    one, other = filled(form, "one", payload=b"sound"), filled(form, "other", payload=b"noise")
    check_signature(keys, "one", arguments(one))
    check_signature(keys, "other", arguments(other))
    assert arguments(one)["audio"]["digest"] == digest_of(b"sound")
    assert arguments(one)["signature"] != arguments(other)["signature"]
