"""Text in the place of an audio segment: what is sent of it, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from producer import Client, Text
from producer.submission import Envelope, Terms, seal, seal_all
from protocol.errors import RequestError
from protocol.routing import payload_key

TEXT = Text("Grüße, 你好")


def sealed(text: Text, request_id: str | None = None, **given: Any) -> Envelope:
    return seal(text, request_id, Terms.of(given, {}, 60), now=1_000.0)


def audio_of(envelope: Envelope) -> dict[str, Any]:
    return dict(json.loads(json.loads(envelope.message)["body"])[1]["audio"])


def test_a_text_travels_as_utf_8_and_says_how_long_it_is() -> None:
    """In characters; whatever encoding was asked for of audio."""
    envelope = sealed(TEXT, "a", encoding="flac")
    assert envelope.payload == TEXT.content.encode()
    assert audio_of(envelope) == {"encoding": "utf-8", "characters": 9, "key": payload_key("a")}


def test_texts_and_audio_may_go_together() -> None:
    """Each says what it is, in whatever order they come."""
    silence = np.zeros(800, np.int16)
    named = [(one, None) for one in (silence, TEXT, silence, Text("b"))]
    said = [
        {name: value for name, value in audio_of(envelope).items() if name != "key"}
        for envelope in seal_all(named, Terms.of({}, {}, 60), 1_000.0)
    ]
    sound = {"encoding": "pcm_s16le", "samples": 800}
    texts = [{"encoding": "utf-8", "characters": length} for length in (9, 1)]
    assert said == [sound, texts[0], sound, texts[1]]


def test_the_same_text_is_the_same_request() -> None:
    """And another text, or other options, another."""
    assert sealed(TEXT, "a").digest == sealed(Text("Grüße, 你好"), "b", priority="bulk").digest
    assert (
        len(
            {sealed(TEXT, "a").digest, sealed(Text("b"), "a").digest, sealed(TEXT, "a", language="de").digest}
        )
        == 3
    )


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("", "TEXT_EMPTY", "the text is empty: 0 characters"),
        (" \n\u3000", "TEXT_EMPTY", "the text has nothing but space, 3 characters of it"),
        ("x" * 4_097, "TOO_LONG", "the text has 4097 characters, the limit is 4096"),
        ("a\ud83d", "BAD_TEXT", "the text has half a character at 1"),
        (b"bytes", "BAD_TEXT", "the text is a bytes: expected str"),
    ],
)
def test_what_is_no_text_is_refused(content: Any, code: str, message: str) -> None:
    """With the value and the limit, and never the text itself."""
    with pytest.raises(RequestError, match=message) as raised:
        sealed(Text(content))
    assert raised.value.code == code


def test_the_longest_text_is_sent() -> None:
    """4 096 characters, however many bytes each takes."""
    assert len(sealed(Text("\U0001f600" * 4_096)).payload) == 16_384


def test_a_text_has_no_sample_rate() -> None:
    """Who gives one has mistaken it for something else."""
    with pytest.raises(RequestError, match="it goes with a NumPy array, not with text"):
        sealed(TEXT, sample_rate=16_000)


def test_a_recording_is_no_text() -> None:
    """It is refused before anything is enqueued."""
    with Client("redis://127.0.0.1:1/0") as client, pytest.raises(RequestError, match="the audio is a Text"):
        client.submit_recording(TEXT)  # type: ignore[arg-type]  # as a caller might
