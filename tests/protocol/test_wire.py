"""What goes over the wire comes back equal, and what comes from strangers is refused by name."""

import base64
import copy
import json
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import (
    BY_NAME,
    RETRY_AFTER,
    EngineError,
    GaveUp,
    Overloaded,
    RequestError,
    TranscriptionError,
)
from protocol.options import Options
from protocol.request import MAX_INLINE_BYTES, MAX_SAMPLES, Encoding, Payload, Priority, Request
from protocol.transcript import Segment, Timings, Transcript
from protocol.wire import (
    conversation_of,
    decode_error,
    decode_request,
    decode_transcript,
    encode_request,
    encode_transcript,
)
from tests.bad_asks import BAD_BASE64, BAD_IDS, BAD_OPTIONS, BAD_TIMES, BAD_VERSIONS, shown

AUDIO = {"key": "segue:audio:a", "encoding": "pcm_s16le", "samples": 16_000}
TEXT = {"key": "segue:audio:a", "encoding": "utf-8", "characters": 12}


def decoded(**kwargs: Any) -> Request:
    return decode_request("a", {"audio": AUDIO, **kwargs}, Priority.NORMAL)


def test_request_round_trip() -> None:
    """A request comes back equal, options and all."""
    request = Request(
        request_id="call-7_b",
        payload=Payload(encoding=Encoding.FLAC, length=4_000, key="segue:audio:call-7_b"),
        options=Options(language="de", beam_size=1, initial_prompt="Grüße"),
        priority=Priority.URGENT,
        submitted_at=1_732_000_000.25,
        deadline_at=1_732_000_002.5,
        conversation="call-7",
        tenant="clinic.example-1",
        metadata={"call": "7", "wer": "Grüße"},
    )
    assert decode_request("call-7_b", encode_request(request), Priority.URGENT) == request
    assert conversation_of(encode_request(request)) == "call-7"


def test_inline_audio_round_trip() -> None:
    """Inline bytes come back equal."""
    payload = Payload(encoding=Encoding.PCM, length=800, inline=bytes(1600))
    request = Request(request_id="a", payload=payload)
    assert decode_request("a", encode_request(request), Priority.NORMAL) == request


def test_text_round_trip() -> None:
    """A text says how many characters it has, and no samples."""
    payload = Payload(encoding=Encoding.TEXT, length=5, inline="Grüße".encode())
    encoded = encode_request(Request(request_id="a", payload=payload))
    assert encoded["audio"] == {"encoding": "utf-8", "characters": 5, "base64": "R3LDvMOfZQ=="}
    assert decode_request("a", encoded, Priority.NORMAL).payload == payload


def test_only_changed_options_travel() -> None:
    """Defaults stay at home, so that a message is small and a new default reaches old producers."""
    assert "options" not in encode_request(decoded())
    assert encode_request(decoded(options={"beam_size": 1}))["options"] == {"beam_size": 1}


def test_transcript_round_trip() -> None:
    """A transcript comes back equal, with segments and receipt."""
    timings = Timings(
        queued=0.1,
        prepared=0.01,
        engine=0.2,
        total=0.4,
        batch_id="w/1",
        batch_size=8,
        batch_position=3,
        batch_reason="full",
        attempts=1,
        worker="w",
        predicted=0.19,
        batch_wait=0.05,
    )
    transcript = Transcript(
        request_id="a",
        text="Grüße",
        language="de",
        language_probability=0.9,
        duration=1.5,
        segments=(Segment(id=1, start=0.0, end=1.5, text=" Grüße", tokens=(1, 2)),),
        warnings=("normalised",),
        timings=timings,
        turns_before=3,
        metadata={"call": "7"},
        data={"embedding": [0.25, -1.0]},
    )
    assert decode_transcript(encode_transcript(transcript)) == transcript
    newer = {**encode_transcript(transcript), "mood": "of a later version"}
    assert decode_transcript(newer) == transcript
    spoken = replace(transcript, audio=bytes(range(256)))
    assert decode_transcript(json.loads(json.dumps(encode_transcript(spoken)))) == spoken


def test_what_there_is_not_is_not_sent() -> None:
    """Notes, turns, data and audio go only with what has them: old clients read the others."""
    plain = Transcript(request_id="a", text="", language="", language_probability=0.0, duration=1.0)
    assert not {"metadata", "turns_before", "data", "audio"} & encode_transcript(plain).keys()


@pytest.mark.parametrize(
    ("kwargs", "code", "names"),
    [
        ({"audio": None}, "BAD_REQUEST", "audio"),
        ({"audio": []}, "BAD_REQUEST", "audio"),
        ({"audio": {**AUDIO, "url": "http://x"}}, "BAD_REQUEST", "url"),
        ({"audio": {**AUDIO, "encoding": "mp3"}}, "UNSUPPORTED_FORMAT", "mp3"),
        ({"audio": {"encoding": "pcm_s16le", "samples": 16_000}}, "BAD_REQUEST", "key or inline"),
        ({"audio": {**AUDIO, "base64": "AAAA"}}, "BAD_REQUEST", "not both"),
        ({"audio": {**AUDIO, "samples": 0}}, "AUDIO_EMPTY", "0 samples"),
        ({"audio": {**AUDIO, "samples": 10}}, "TOO_SHORT", "0.05"),
        ({"audio": {**AUDIO, "samples": MAX_SAMPLES + 1}}, "TOO_LONG", "30"),
        ({"audio": {**AUDIO, "samples": True}}, "BAD_REQUEST", "samples"),
        ({"audio": {**AUDIO, "samples": "9"}}, "BAD_REQUEST", "samples"),
        ({"audio": {**AUDIO, "encoding": "utf-8"}}, "BAD_REQUEST", "unknown fields: samples"),
        ({"audio": {**TEXT, "encoding": "flac"}}, "BAD_REQUEST", "unknown fields: characters"),
        ({"audio": {**AUDIO, "samples": 10**400}}, "BAD_REQUEST", "whole number"),
        ({"audio": {**TEXT, "characters": -(10**400)}}, "BAD_REQUEST", "whole number"),
        ({"audio": {**TEXT, "characters": None}}, "BAD_REQUEST", "characters is None"),
        ({"audio": {**TEXT, "characters": 0}}, "TEXT_EMPTY", "0 characters"),
        ({"audio": {**TEXT, "characters": 4_097}}, "TOO_LONG", "4097 characters, the limit is 4096"),
        ({"audio": {"encoding": "utf-8", "characters": 9}}, "BAD_REQUEST", "text needs either a key"),
        ({"audio": {**AUDIO, "key": 7}}, "BAD_REQUEST", "key"),
        (
            {"audio": {"base64": "AAAA%A==", "encoding": "pcm_s16le", "samples": 800}},
            "BAD_BASE64",
            "from character 4 on",
        ),
        ({"audio": {"base64": 3, "encoding": "pcm_s16le", "samples": 800}}, "BAD_BASE64", "text"),
        (
            {
                "audio": {
                    "base64": base64.b64encode(bytes(MAX_INLINE_BYTES + 3)).decode(),
                    "encoding": "pcm_s16le",
                    "samples": 16_385,
                }
            },
            "TOO_LARGE",
            str(MAX_INLINE_BYTES),
        ),
        ({"options": []}, "BAD_REQUEST", "options"),
        ({"options": {"colour": "red"}}, "BAD_OPTION", "colour"),
        ({"options": {"language": "klingon"}}, "BAD_LANGUAGE", "klingon"),
        ({"options": {"language": ["en"]}}, "BAD_LANGUAGE", "en"),
        ({"options": {"task": "sing"}}, "BAD_OPTION", "sing"),
        ({"options": {"beam_size": 0}}, "BAD_OPTION", "1 to 20"),
        ({"options": {"beam_size": True}}, "BAD_OPTION", "beam_size"),
        ({"options": {"patience": float("nan")}}, "BAD_OPTION", "nan"),
        ({"options": {"initial_prompt": "x" * 2_001}}, "PROMPT_TOO_LONG", "2001"),
        ({"options": {"initial_prompt": "\x00"}}, "BAD_OPTION", "control"),
        ({"options": {"hotwords": 5}}, "BAD_OPTION", "hotwords"),
        ({"options": {"without_timestamps": 1}}, "BAD_OPTION", "without_timestamps"),
        ({"options": {"max_new_tokens": 449}}, "BAD_OPTION", "448"),
        ({"submitted_at": "now"}, "BAD_REQUEST", "submitted_at"),
        ({"submitted_at": -1}, "BAD_REQUEST", "submitted_at"),
        ({"deadline_at": "soon"}, "BAD_DEADLINE", "deadline_at"),
        ({"deadline_at": True}, "BAD_DEADLINE", "True"),
        ({"deadline_at": float("nan")}, "BAD_DEADLINE", "nan"),
        ({"deadline_at": 1e308}, "BAD_DEADLINE", "1e+308"),
        ({"conversation": "a b"}, "BAD_CONVERSATION", "'a b'"),
        ({"conversation": 7}, "BAD_CONVERSATION", "7"),
        ({"tenant": "a b"}, "BAD_TENANT", "'a b'"),
        ({"tenant": ""}, "BAD_TENANT", "1 to 64"),
        ({"tenant": "x" * 65}, "BAD_TENANT", "1 to 64"),
        ({"tenant": 7}, "BAD_TENANT", "7"),
        ({"metadata": ["call"]}, "BAD_METADATA", "['call']"),
        ({"metadata": {"call": 7}}, "BAD_METADATA", "the value 7"),
        ({"metadata": {str(number): "" for number in range(17)}}, "BAD_METADATA", "the limit is 16"),
        ({"metadata": {"x" * 65: ""}}, "BAD_METADATA", "65 characters, the limit is 64"),
        ({"metadata": {"call": "x" * 513}}, "BAD_METADATA", "513 characters, the limit is 512"),
        ({"metadata": {"call": "\ud800"}}, "BAD_METADATA", "UTF-8"),
        ({"v": 2}, "BAD_SCHEMA_VERSION", "2"),
        ({"extra": 1}, "BAD_REQUEST", "extra"),
    ],
)
def test_bad_request_is_refused_by_name(kwargs: dict[str, Any], code: str, names: str) -> None:
    """Each mistake has its code, and the message names the value or the limit."""
    with pytest.raises(RequestError) as caught:
        decoded(**kwargs)
    assert caught.value.code == code
    assert names in caught.value.message


@pytest.mark.parametrize("request_id", BAD_IDS, ids=shown)
def test_bad_request_id_is_refused(request_id: object) -> None:
    """Ids are 1 to 128 of `[A-Za-z0-9_-]`, because they become Redis keys and file names."""
    with pytest.raises(RequestError) as caught:
        decode_request(request_id, {"audio": AUDIO}, Priority.NORMAL)
    assert caught.value.code == "BAD_REQUEST_ID"


def inline(text: object) -> dict[str, object]:
    return {"audio": {"base64": text, "encoding": "pcm_s16le", "samples": 800}}


@pytest.mark.parametrize(
    ("kwargs", "code"),
    [
        *((inline(text), "BAD_BASE64") for text in BAD_BASE64),
        *(({"options": options}, code) for options, code in BAD_OPTIONS),
        *(({"deadline_at": time}, "BAD_DEADLINE") for time in BAD_TIMES),
        *(({"v": version}, "BAD_SCHEMA_VERSION") for version in BAD_VERSIONS),
    ],
    ids=shown,
)
def test_what_every_door_refuses_is_refused_here(kwargs: dict[str, Any], code: str) -> None:
    """Cases 48, 54, 55 and 57 of somebody who writes messages himself; the error repeats no long text."""
    with pytest.raises(RequestError) as caught:
        decoded(**kwargs)
    assert caught.value.code == code
    assert len(caught.value.message) < 1_000


def test_a_message_without_a_version_is_of_the_first() -> None:
    """Who writes by hand need not know that there are versions."""
    assert decoded() == decoded(v=1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(
    value=json_values
    | st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("audio", "deadline_at", "options", "submitted_at", "v"), json_values)
    )
)
def test_whatever_comes_is_a_request_or_a_request_error(value: Any) -> None:
    """No JSON whatever raises anything but `RequestError`."""
    try:
        request = decode_request("a", value, Priority.NORMAL)
    except RequestError:
        return
    assert decode_request("a", encode_request(request), Priority.NORMAL) == request


@given(value=json_values)
def test_whatever_is_stored_decodes_to_a_transcript_or_an_error(value: Any) -> None:
    """A result written by a stranger becomes a typed error, never a crash or a foreign class."""
    assert isinstance(decode_error(value), TranscriptionError)
    with suppress(EngineError):
        decode_transcript(value)


@pytest.mark.parametrize("kind", BY_NAME.values())
def test_error_survives_celerys_way_of_storing(kind: type[TranscriptionError]) -> None:
    """Celery stores a class name and `args`; class, message, code and `retryable` come back."""
    error = kind("what went wrong", "SOME_CODE")
    again = decode_error({"exc_type": kind.__name__, "exc_message": list(error.args)})
    assert (type(again), again.args, again.retryable) == (kind, error.args, error.retryable)


def test_a_refusal_says_when_to_try_again_wherever_it_travels() -> None:
    """`retry_after` survives Celery's way of storing, copies, and whatever a stranger puts in its place."""
    error = Overloaded("full", "QUEUE_FULL", 2.5)
    stored = json.loads(json.dumps({"exc_type": "Overloaded", "exc_message": error.args}))
    for again in (decode_error(stored), copy.copy(error), Overloaded(*error.args)):
        assert isinstance(again, Overloaded)
        assert (again.message, again.code, again.retry_after) == ("full", "QUEUE_FULL", 2.5)
    for junk in ("soon", None, True, -1, float("nan"), 1e308, [3]):
        again = decode_error({"exc_type": "Overloaded", "exc_message": ["full", "QUEUE_FULL", junk]})
        assert isinstance(again, Overloaded)
        assert again.retry_after == RETRY_AFTER


def test_unknown_error_class_is_never_imported() -> None:
    """A stored class name that is not ours becomes an `EngineError` with its message."""
    error = decode_error({"exc_type": "Popen", "exc_module": "subprocess", "exc_message": ["boo"]})
    assert (type(error), error.message) == (EngineError, "boo")


def test_errors_print_message_and_code() -> None:
    """What a person reads has both."""
    assert str(GaveUp("twice")) == "twice [GAVE_UP]"


def test_options_know_their_defaults() -> None:
    """Defaults change nothing; a change is reported alone."""
    assert Options().changes() == {}
    assert Options.of({"beam_size": 3}).changes() == {"beam_size": 3}
    assert Options.of(asdict(Options())) == Options()
