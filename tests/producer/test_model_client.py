"""The predecessor's direct batch: plain data in and out, one bad entry fails alone, ids are the caller's."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer import Client, model_client
from producer.direct_batch import DirectBatch, read_entry
from producer.numbers import read_numbers
from protocol.errors import EngineError, Overloaded, RequestError
from protocol.transcript import Segment, Transcript

SECOND = [0.0] * 16_000


def batch_of(*entries: Any, model_pref: object = "quality") -> DirectBatch:
    return DirectBatch(list(entries), model_pref=model_pref, language=None)


def transcript(text: str) -> Transcript:
    return Transcript(
        request_id="by-segue",
        text=text,
        language="en",
        language_probability=1.0,
        duration=1.0,
        segments=(Segment(id=0, start=0.0, end=1.0, text=text, tokens=(1, 2)),),
        model="demo",
    )


def test_floats_and_whole_numbers_keep_their_scale() -> None:
    """Whole numbers alone are int16, as `tolist` of such an array makes them; anything else is −1..1."""
    floats, rate = read_numbers([0.5, -1] * 4_000, 8_000)
    assert (floats.dtype, rate, floats[:2].tolist()) == (np.dtype("float64"), 8_000, [0.5, -1.0])
    whole, _ = read_numbers(np.arange(-4_000, 4_000, dtype=np.int16).tolist(), 16_000)
    assert (whole.dtype, whole[0], whole[-1]) == (np.dtype("int16"), -4_000, 3_999)


def test_arrays_are_taken_as_they_are() -> None:
    """Who leaves `tolist` out is understood, and so is a list of NumPy's own numbers."""
    array = np.linspace(-1, 1, 16_000, dtype=np.float32)
    assert read_numbers(array, 16_000)[0] is array
    assert read_numbers(list(array), 16_000)[0].tolist() == array.astype(np.float64).tolist()


@pytest.mark.parametrize(
    ("values", "rate", "code", "said"),
    [
        ("0.1, 0.2", 16_000, "BAD_ARRAY", "of type str"),
        (None, 16_000, "BAD_ARRAY", "of type NoneType"),
        ({"0": 0.1}, 16_000, "BAD_ARRAY", "of type dict"),
        ([], 16_000, "AUDIO_EMPTY", "0 samples"),
        ([0.0] * 100, 16_000, "TOO_SHORT", "0.05 s"),
        ([0.0] * 480_001, 16_000, "TOO_LONG", "30 s"),
        (SECOND, 0, "BAD_SAMPLE_RATE", "is 0"),
        (SECOND, "16000", "BAD_SAMPLE_RATE", "'16000'"),
        (SECOND, None, "BAD_SAMPLE_RATE", "None"),
        (SECOND, 16_000.5, "BAD_SAMPLE_RATE", "16000.5"),
        ([*SECOND, "x" * 99], 16_000, "BAD_ARRAY", "audio_data[16000] is 'xxx"),
        ([*SECOND, None], 16_000, "BAD_ARRAY", "is None"),
        ([*SECOND, True], 16_000, "BAD_ARRAY", "is True"),
        ([[0.0, 0.0]] * 16_000, 16_000, "BAD_ARRAY", "of one channel"),
        ([0] * 999 + [-32_769], 16_000, "SAMPLES_OUT_OF_RANGE", "-32769"),
        ([0] * 999 + [10**400], 16_000, "SAMPLES_OUT_OF_RANGE", "1000000"),
        ([0.0] * 999 + [10**400], 16_000, "SAMPLES_OUT_OF_RANGE", "300 digits"),
    ],
)
def test_what_is_no_audio_is_named(values: object, rate: object, code: str, said: str) -> None:
    """Each mistake has its code, and a message that names the value and the limit."""
    with pytest.raises(RequestError) as refused:
        read_numbers(values, rate)
    assert refused.value.code == code
    assert said in refused.value.message
    assert len(refused.value.message) < 200


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    )
    | st.fixed_dictionaries(
        {"audio_data": st.lists(st.floats() | st.integers(), max_size=5).map(lambda some: SECOND + some)},
        optional={"sample_rate": st.integers() | st.floats(), "request_id": st.text() | st.booleans()},
    )
)
def test_no_entry_whatever_breaks_the_batch(entry: Any) -> None:
    """Whatever stands in the place of an entry is audio or a `RequestError`, never another exception."""
    audio = read_entry(entry, 0).audio
    assert isinstance(audio, RequestError | tuple)


def test_ids_come_back_as_they_were_given() -> None:
    """Any text, number or none, twice if given twice, in the order of the entries."""
    given_ids = ["sample1", "a b/ü", 7, "sample1"]
    batch = batch_of(
        *({"audio_data": SECOND, "request_id": one} for one in given_ids), {"audio_data": SECOND}
    )
    results = batch.answer([transcript("x")] * 5)["results"]
    assert [one["request_id"] for one in results] == [*given_ids, None]


def test_each_call_has_ids_of_its_own() -> None:
    """`sample1` of this call is another request than that of the call before."""
    first, second = (batch_of({"audio_data": SECOND, "request_id": "sample1"}) for _ in range(2))
    assert first.given["request_ids"] != second.given["request_ids"]
    assert first.answer([transcript("x")])["results"][0]["task_id"] == first.given["request_ids"][0]  # type: ignore[index]


def test_a_bad_entry_fails_alone() -> None:
    """Its result is an error beside its id, in its place; it is not sent, and the call is a success."""
    batch = batch_of(
        {"audio_data": SECOND, "request_id": "good"},
        {"audio_data": "noise", "request_id": "bad"},
        {"audio_data": SECOND, "request_id": "misspelt", "sampel_rate": 8_000},
        {"request_id": "nothing"},
        {"audio_data": SECOND, "request_id": ["no", "name"]},
        "no entry",
        {"audio_data": SECOND, "request_id": "failed"},
    )
    assert len(batch.audios) == 2
    answer = batch.answer([transcript(" Hello."), EngineError("it broke")])
    assert answer["status"] == "success"
    good, *bad = answer["results"]
    assert (good["request_id"], good["text"], good["model"]) == ("good", "Hello.", "demo")
    assert [(one["request_id"], one["error"]["code"]) for one in bad] == [
        ("bad", "BAD_ARRAY"),
        ("misspelt", "BAD_REQUEST"),
        ("nothing", "BAD_REQUEST"),
        (None, "BAD_REQUEST_ID"),
        (None, "BAD_REQUEST"),
        ("failed", "ENGINE_ERROR"),
    ]
    assert "'sampel_rate'" in bad[1]["error"]["message"]
    assert not any("text" in one for one in bad)


def test_a_call_of_which_nothing_came_is_an_error() -> None:
    """Who looks at the status alone learns that there is no text; the results say why, one by one."""
    answer = batch_of({"audio_data": SECOND}, {"audio_data": []}).answer(
        [Overloaded("full", retry_after=2.0)]
    )
    assert answer["status"] == "error"
    assert answer["error"] == {"code": "OVERLOADED", "message": "full", "retryable": True, "retry_after": 2.0}
    assert [one["error"]["code"] for one in answer["results"]] == ["OVERLOADED", "AUDIO_EMPTY"]


def test_an_empty_batch_is_done_at_once() -> None:
    """Nothing was asked for, and nothing failed."""
    assert batch_of().answer([]) == {
        "status": "success",
        "results": [],
        "warnings": [
            "model_pref 'quality' means the worker's model of that name, if it has several,"
            " and the default options; each result names its model"
        ],
    }


@pytest.mark.parametrize(("model_pref", "beam"), [("fast", 1), ("balanced", None), ("quality", None)])
def test_a_preference_is_which_model_and_how_hard_it_looks(model_pref: str, beam: int | None) -> None:
    """The worker is asked for it; the fast one decodes greedily, the others as a request without options."""
    batch = batch_of(model_pref=model_pref)
    assert batch.given.get("model_pref") == model_pref
    assert batch.given.get("beam_size") == beam
    (warning,) = batch.answer([])["warnings"]
    assert model_pref in warning
    assert ("beam_size 1" in warning) is (beam == 1)


def test_an_answer_is_json() -> None:
    """All of it, transcript, receipt and errors: the service sends it as it stands."""
    batch = batch_of({"audio_data": SECOND}, {"audio_data": SECOND})
    answer = batch.answer([transcript("x"), EngineError("it broke")])
    assert json.loads(json.dumps(answer))["results"][0]["segments"][0]["tokens"] == [1, 2]


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ({}, "BAD_REQUEST", "batch_mode is False"),
        ({"batch_mode": "yes"}, "BAD_REQUEST", "batch_mode is 'yes'"),
        ({"batch_data": None}, "BAD_REQUEST", "of type NoneType"),
        ({"batch_data": {"audio_data": SECOND}}, "BAD_REQUEST", "of type dict"),
        ({"model_pref": "best"}, "BAD_OPTION", "'best': expected one of fast, balanced, quality"),
        ({"model_pref": ["fast"]}, "BAD_OPTION", "model_pref"),
        ({"timeout": float("nan")}, "BAD_OPTION", "timeout is nan: expected seconds, 0 to 86400"),
        ({"timeout": None}, "BAD_OPTION", "timeout is None"),
        ({"timeout": -1}, "BAD_OPTION", "timeout is -1"),
        ({"batch_data": [], "language": "klingon"}, "BAD_LANGUAGE", "klingon"),
    ],
)
def test_a_call_that_makes_no_sense_is_told_so(
    call: dict[str, Any], code: str, said: str, nowhere: str
) -> None:
    """As an answer, since callers of the predecessor look at the status and catch nothing."""
    call = call if not call else {"batch_mode": True, **call}
    answer = model_client.generate(prompt="Batch transcribe audio to text", client=Client(nowhere), **call)
    assert (answer["status"], answer["error"]["code"]) == ("error", code)
    assert said in answer["error"]["message"]


def test_no_redis_is_an_error_that_may_be_tried_again(nowhere: str) -> None:
    """Unreachable is told as any other error, and that again may help."""
    answer = model_client.generate(
        batch_mode=True, batch_data=[{"audio_data": SECOND}], client=Client(nowhere)
    )
    assert (answer["status"], answer["error"]["code"]) == ("error", "QUEUE_UNREACHABLE")
    assert answer["error"]["retryable"] is True
