"""Text instead of audio, in the engine process: decoded, refused where nobody takes it, prepared ahead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from batching.batch import Batch, Reason
from protocol.errors import RequestError
from protocol.options import Options
from protocol.request import Encoding, Payload, Priority, Request
from protocol.signing import digest_of
from protocol.wire import decode_request, encode_request
from tests.workers import own_engines
from workers.engine.fake import fingerprint
from workers.host import Host
from workers.payloads import decode_payload
from workers.run import Run, Work
from workers.settings import Settings
from workers.waiting import item_of

TEXT = "Grüße, 你好"
PCM = np.arange(-8_000, 8_000, 10, dtype="<i2")


def payload(content: bytes, length: int, digest: str | None = None) -> Payload:
    return Payload(encoding=Encoding.TEXT, length=length, inline=content, digest=digest)


def order(*names: str) -> dict[str, Any]:
    """A batch of requests that bring audio or text, by their names."""
    payloads = {
        "text": payload(TEXT.encode(), 9),
        "audio": Payload(encoding=Encoding.PCM, length=len(PCM), inline=PCM.tobytes()),
        "damaged": payload(b"\xff", 1),
    }
    requests = [(name, Request(request_id=name, payload=payloads[name])) for name in names]
    return {"batch": 1, "requests": [[name, encode_request(one), None] for name, one in requests]}


def own(name: str) -> Host:
    return Host(Settings(engine=f"tests.workers.own_engines:{name}", model="m"))


def test_a_text_comes_back_as_it_was() -> None:
    """Character by character, also where one takes four bytes."""
    assert decode_payload(TEXT.encode(), payload(b"", 9)) == TEXT
    longest = "\U0001f600" * 4_096
    assert decode_payload(longest.encode(), payload(b"", 4_096)) == longest


@pytest.mark.parametrize(
    ("content", "length", "code", "message"),
    [
        (b"ab\xff", 3, "BAD_TEXT", "the text is not UTF-8 at byte 2"),
        (b"abc", 4, "BAD_TEXT", "the text has 3 characters, the message announced 4"),
        (b" \n", 2, "TEXT_EMPTY", "the text has nothing but space, 2 characters of it"),
        (bytes(16_385), 4_096, "TOO_LONG", "the text has 16385 bytes, the limit is 4096 characters"),
    ],
)
def test_a_text_is_what_its_message_announced(content: bytes, length: int, code: str, message: str) -> None:
    """Else it is refused by name."""
    with pytest.raises(RequestError, match=message) as raised:
        decode_payload(content, payload(b"", length))
    assert raised.value.code == code


def test_a_text_is_the_one_that_was_signed() -> None:
    """As audio is."""
    with pytest.raises(RequestError, match="the text is not the one that was signed"):
        decode_payload(b"abc", payload(b"", 3, digest_of(b"abd")))


def test_texts_and_audio_share_a_batch_of_an_engine_that_takes_both() -> None:
    """Each has its own answer; a text has no length in seconds."""
    report = Host(Settings(engine="fake")).run(order("audio", "text", "damaged"))
    audio, text, damaged = report["outcomes"]
    assert audio["transcript"]["text"] == fingerprint(PCM.astype(np.float32) / np.float32(32_768))
    assert text["transcript"]["text"] == fingerprint(TEXT)
    assert (audio["transcript"]["duration"], text["transcript"]["duration"]) == (0.1, 0.0)
    assert damaged["exc_message"][1] == "BAD_TEXT"
    assert (report["engine_calls"], report["rows"]) == (1, 2)


@pytest.mark.parametrize(
    ("name", "refused", "why"),
    [
        ("Least", "text", "model 'm' takes audio, this is text"),
        ("Speaker", "audio", "model 'm' takes text, this is audio"),
    ],
)
def test_what_an_engine_does_not_take_is_refused_alone(name: str, refused: str, why: str) -> None:
    """Its neighbour runs."""
    batch = order("audio", "text")
    outcomes = dict(zip(("audio", "text"), own(name).run(batch)["outcomes"], strict=True))
    assert outcomes.pop(refused) == {"exc_type": "RequestError", "exc_message": [why, "UNSUPPORTED_INPUT"]}
    [other] = outcomes.values()
    assert "transcript" in other


def test_what_cannot_be_prepared_never_reaches_the_engine() -> None:
    """The report counts it out, so that its batch teaches nothing."""
    payloads = [("a", Options()), ("b", Options(hotwords="unprepared"))]
    requests = [
        (one, Request(request_id=one, payload=payload(b"x", 1), options=wish)) for one, wish in payloads
    ]
    batch = {"batch": 1, "requests": [[one, encode_request(request), None] for one, request in requests]}
    report = own("Speaker").run(batch)
    assert (report["rows"], ["transcript" in one for one in report["outcomes"]]) == (1, [True, False])


def test_what_an_engine_does_not_take_is_not_prepared() -> None:
    """Neither ahead of a batch, where a text comes after it, nor in it."""
    own_engines.told.clear()
    host = own("Speaker")
    host.load()
    batch = order("audio", "text")
    ready = 0
    while not ready:  # until the thread has had time enough; else the test runs out of its own
        host.expect([(one, kwargs) for one, kwargs, _ in batch["requests"]])
        host.run(order("damaged"))
        host.bind(batch)
        ready = host.run(batch)["ahead"]
    assert ready == 1
    assert own_engines.told == []


def test_a_text_is_prepared_while_another_batch_runs() -> None:
    """What was made of it ahead is what the batch gets."""
    host = own("Speaker")
    host.load()
    batch = order("text")
    report: dict[str, Any] = {"ahead": 0}
    while not report["ahead"]:  # until the thread has had time enough; else the test runs out of its own
        host.expect([(one, kwargs) for one, kwargs, _ in batch["requests"]])
        host.run(order("damaged"))
        host.bind(batch)
        report = host.run(batch)
        [outcome] = report["outcomes"]
        assert outcome["transcript"]["text"] == TEXT.upper()


@pytest.mark.parametrize(
    ("names", "described"),
    [
        (("text", "text"), "2 requests (full), 18 characters"),
        (("audio",), "1 request (full), 0.1 s of audio"),
        (("audio", "text", "audio"), "3 requests (full), 0.2 s of audio, 9 characters"),
    ],
)
def test_a_batch_says_what_is_in_it(names: tuple[str, ...], described: str) -> None:
    """In the log and in Flower: of texts, how many characters."""
    requests = [
        decode_request(name, kwargs, Priority.NORMAL) for name, kwargs, _ in order(*names)["requests"]
    ]
    items = [item_of(nth, request, 0.0) for nth, request in enumerate(requests)]
    batch = Batch(items=tuple(items), reason=Reason.FULL, closed_at=0.0)
    works = (Work(message=None, request=one, item=item) for one, item in zip(requests, items, strict=True))
    assert Run(number=1, batch=batch, works=tuple(works)).described == described
