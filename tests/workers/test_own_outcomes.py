"""What an engine of the operator's own may answer: rules 3 and 4 of `workers.engine.own`, and its errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from protocol.errors import EngineError, GaveUp, OutOfMemory, RequestError
from protocol.options import Options
from protocol.transcript import Segment, Word
from tests.workers import own_engines
from tests.workers.test_own_engine import SAMPLES, behind_the_door, loaded, run
from workers.engine.base import Heard, Outcome, Row
from workers.engine.own_outcome import MAX_AUDIO_BYTES, MAX_OUTCOME_BYTES, told

SEGMENT = Segment(id=1, start=0.0, end=1.0, text=" a", tokens=(7,))


def segment(**changes: Any) -> Segment:
    """One that is right but for these."""
    return replace(SEGMENT, **changes)


def endless() -> dict[str, Any]:
    """A mapping that holds itself."""
    one: dict[str, Any] = {}
    one["self"] = one
    return one


def test_a_batch_with_too_few_outcomes_fails() -> None:
    """Rule 3: nobody could say whose they are."""
    engine = loaded("Clumsy", "loses outcomes")
    with pytest.raises(EngineError, match="gave 1 outcomes for 2 rows"):
        engine.run(engine.prepare_all([(SAMPLES, Options())] * 2))
    assert all(isinstance(outcome, EngineError) for outcome in run(engine, None, None))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "text in an outcome: Input should be a valid string"),
        ({"text": "half a letter \ud83d"}, "not plain data: .*surrogates"),
        ({"language": 7}, "language in an outcome: Input should be a valid string"),
        (
            {"language_probability": "high"},
            "language_probability in an outcome: Input should be a valid number",
        ),
        ({"language_probability": float("nan")}, "language_probability in an outcome"),
        ({"segments": ("a",)}, "segments.0 in an outcome"),
        ({"segments": (segment(temperature=None),)}, "segments.0.temperature in an outcome"),
        ({"segments": (segment(tokens=None),)}, "segments.0.tokens in an outcome"),
        ({"segments": (segment(words=({"word": "a"},)),)}, "segments.0.words.0.start in an outcome"),
        ({"no_speech": 1}, "no_speech in an outcome: Input should be a valid boolean"),
        ({"warnings": (SAMPLES,)}, "warnings.0 in an outcome"),
        ({"data": [1.0]}, "data in an outcome"),
        ({"data": {"samples": {1, 2}}}, "not plain data: .*set"),
        ({"data": {1: "one"}}, "not plain data: Dict key must be str"),
        ({"data": endless()}, "not plain data: Recursion limit reached"),
        ({"data": {"x": "x" * MAX_OUTCOME_BYTES}}, r"1000\d\d\d bytes, the limit is 1000000"),
        ({"audio": SAMPLES}, "ndarray for the audio of an outcome, expected the bytes of a file"),
        ({"audio": b""}, "audio of 0 bytes in an outcome: None is no audio"),
        ({"audio": bytes(MAX_AUDIO_BYTES + 1)}, "audio of 3000001 bytes in an outcome, the limit is 3000000"),
    ],
)
def test_an_outcome_that_nobody_could_read_fails_alone(changes: dict[str, Any], message: str) -> None:
    """Rule 4: its neighbours have theirs, from the same call."""
    good = Heard(text="good")

    class Mixed(own_engines.Least):
        def run(self, rows: Sequence[Row]) -> list[Outcome]:
            outcomes: list[Outcome] = [good, replace(good, **changes), good]
            return outcomes[: len(rows)]

    engine = behind_the_door(Mixed("m"))
    first, bad, last = engine.run([Row(samples=SAMPLES, options=Options())] * 3)
    assert (first, last) == (good, good)
    with pytest.raises(EngineError, match=f"engine 'a:b' gave .*{message}"):
        raise bad  # type: ignore[misc]


def test_a_sound_file_goes_out_as_it_is() -> None:
    """Beside whatever else there is, and not as JSON's million of bytes."""
    given = Heard(text="said", audio=bytes(MAX_AUDIO_BYTES), data={"one": 1})

    class Loud(own_engines.Least):
        def run(self, rows: Sequence[Row]) -> list[Outcome]:
            return [given for _ in rows]

    assert run(behind_the_door(Loud("m")), None) == [given]


def test_what_goes_out_is_what_json_says() -> None:
    """So that outcomes that can be written can be written beside each other, by whatever writes them."""
    given = Heard(
        text="",
        language_probability=1,
        segments=[replace(SEGMENT, words=(Word(start=0, end=1.0, word=" a", probability=0.5),))],  # type: ignore[arg-type]
        data={"when": datetime(2026, 12, 1), "one": np.float32(0.25), "many": np.arange(3), "none": np.nan},
    )

    class Generous(own_engines.Least):
        def run(self, rows: Sequence[Row]) -> list[Outcome]:
            rows.clear()  # type: ignore[attr-defined]  # a list, and its own
            return [given]

    engine = behind_the_door(Generous("m"))
    [found] = engine.run([Row(samples=SAMPLES, options=Options())])
    assert found == replace(
        given,
        language_probability=1.0,
        segments=(replace(SEGMENT, words=(Word(start=0.0, end=1.0, word=" a", probability=0.5),)),),
        data={"when": "2026-12-01T00:00:00", "one": 0.25, "many": [0, 1, 2], "none": None},
    )


class Unsaid(RequestError):
    """An error that lacks what ours have."""

    def __init__(self) -> None:
        """Nothing of it."""


class Mute(Exception):
    """An error that will not say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "args"),
    [
        (RequestError("too noisy", "NOISE"), ("too noisy", "NOISE")),
        (RequestError(ValueError("too noisy")), ("too noisy", "BAD_REQUEST")),  # type: ignore[arg-type]
        (RequestError("too noisy", 404), ("too noisy", "404")),  # type: ignore[arg-type]
        (RequestError("x" * 5_000_000, "y" * 5_000_000), ("x" * 500, "y" * 40)),
        (RequestError("half \ud83d", "A"), ("half ?", "A")),
        (Unsaid(), ("", "BAD_REQUEST")),
        (OutOfMemory("full"), ("full", "OUT_OF_MEMORY")),
        (GaveUp("not for it to say"), ("not for it to say", "ENGINE_ERROR")),
        (ValueError("broken"), ("ValueError: broken", "ENGINE_ERROR")),
        (Mute(), ("Mute: ", "ENGINE_ERROR")),
    ],
)
def test_an_error_is_one_of_ours_with_a_text_and_a_code(error: Exception, args: tuple[str, str]) -> None:
    """Whatever it was made of: it has to go through JSON, Redis and Celery, and to the caller."""
    kind = type(error) if type(error) in (RequestError, OutOfMemory) else EngineError
    found = told(error)
    assert (type(found), found.args) == (RequestError if isinstance(error, Unsaid) else kind, args)


@pytest.mark.parametrize("is_raised", [True, False])
def test_an_error_goes_out_as_ours_raised_or_returned(*, is_raised: bool) -> None:
    """Made of another error, as in a hurry: its text, and not the error, which no JSON holds."""

    class Hurried(own_engines.Least):
        def run(self, rows: Sequence[Row]) -> list[Outcome]:
            error = RequestError(ValueError("too noisy"))  # type: ignore[arg-type]
            if is_raised:
                raise error
            return [error for _ in rows]

    engine = behind_the_door(Hurried("m"))
    for outcome in run(engine, None, None):
        assert isinstance(outcome, RequestError)
        assert outcome.args == ("too noisy", "BAD_REQUEST")


def test_an_error_that_is_meant_has_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """Raised or returned, it is an answer."""

    class Refuses(own_engines.Least):
        def run(self, rows: Sequence[Row]) -> list[Outcome]:
            raise RequestError(f"too noisy: {len(rows)}", "NOISE")

    engine = behind_the_door(Refuses("m"))
    [outcome] = run(engine, None)
    assert isinstance(outcome, RequestError)
    assert outcome.args == ("too noisy: 1", "NOISE")
    assert not caplog.records


def test_a_row_cannot_be_asked_for_again() -> None:
    """To hear it `Again` is for an engine that is known to stop."""
    [outcome] = run(loaded("Clumsy", "asks again"), None)
    assert isinstance(outcome, EngineError)
    assert "gave Again for an outcome, expected Heard or an error" in outcome.message


def test_a_row_that_breaks_a_call_has_one_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """Of the call that it was alone in, not of all that it took to find it."""

    class Breaks(own_engines.Least):
        def run(self, rows: Sequence[Row]) -> list[Outcome]:
            if any(row.options.hotwords == "break" for row in rows):
                raise KeyError("broken")
            return super().run(rows)

    engine = behind_the_door(Breaks("m"))
    outcomes = run(engine, None, None, "break", None)
    assert [isinstance(outcome, Heard) for outcome in outcomes] == [True, True, False, True]
    [record] = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)
