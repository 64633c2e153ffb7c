"""An engine of the operator's own: a rule of `workers.engine.own` each."""

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
from workers.engine.base import Engine, Heard, Outcome, Row
from workers.engine.isolation import run_isolated
from workers.engine.own import MAX_OUTCOME_BYTES, OwnEngine, told

HERE = "tests.workers.own_engines"
SAMPLES = np.zeros(8_000, np.float32)
SEGMENT = Segment(id=1, start=0.0, end=1.0, text=" a", tokens=(7,))


def segment(**changes: Any) -> Segment:
    """One that is right but for these."""
    return replace(SEGMENT, **changes)


def endless() -> dict[str, Any]:
    """A mapping that holds itself."""
    one: dict[str, Any] = {}
    one["self"] = one
    return one


def loaded(name: str, model: str = "m") -> OwnEngine:
    engine = OwnEngine(f"{HERE}:{name}", model, device="cpu", compute_type="auto", cpu_threads=1)
    engine.load()
    return engine


def behind_the_door(own: Engine) -> OwnEngine:
    engine = OwnEngine("a:b", "m")
    engine._engine = own
    return engine


def run(engine: OwnEngine, *wishes: str | None) -> list[Outcome]:
    asked = [(SAMPLES, Options(hotwords=wish)) for wish in wishes]
    return run_isolated(engine, engine.prepare_all(asked)).outcomes


def test_it_is_made_of_the_settings() -> None:
    """The class is called with the model, and by name with how it is to run."""
    own_engines.told.clear()
    assert loaded("Plain").model == "m"
    assert own_engines.told == ["made with {'device': 'cpu', 'compute_type': 'auto', 'cpu_threads': 1}"]


def test_transcripts_do_not_show_where_its_model_lies() -> None:
    """A folder by its last part only; the class is told all of it."""
    engine = OwnEngine(f"{HERE}:Least", "/srv/models/our-base")
    assert engine.model == "our-base"
    engine.load()
    assert engine._loaded.model == "/srv/models/our-base"


def test_only_three_members_must_be_there() -> None:
    """`__init__`, `load` and `run`: the rest is inherited."""
    engine = loaded("Least")
    assert run(engine, None, None) == [Heard(text="2 rows", data={"seconds": 0.5})] * 2
    engine.unload()


@pytest.mark.parametrize(
    ("name", "model", "reason"),
    [
        ("tests.workers.nowhere:Plain", "m", "ModuleNotFoundError: No module named 'tests.workers.nowhere'"),
        (f"{HERE}:Nobody", "m", "AttributeError: module '.*' has no attribute 'Nobody'"),
        (f"{HERE}:NO_CLASS", "m", "TypeError: 'str' object is not callable"),
        (f"{HERE}:Clumsy", "unloadable", "RuntimeError: cannot read <path>"),
    ],
)
def test_what_cannot_be_loaded_says_why(
    name: str, model: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Rule 1, with the name that was given; without paths. The log has the traceback."""
    with pytest.raises(EngineError, match=f"engine '{name}' cannot be loaded: {reason}") as raised:
        OwnEngine(name, model).load()
    assert raised.value.code == "MODEL_UNAVAILABLE"
    [record] = caplog.records
    assert record.exc_info is not None


def test_a_model_too_large_for_the_device_is_no_mistake() -> None:
    """When others have left, it may fit."""
    with pytest.raises(OutOfMemory):
        loaded("Clumsy", "too large")


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ("unprepared", "ValueError: not this one"),
        ("no row", "gave NoneType for a row"),
        ("another row", "gave a row of other samples than it was asked to prepare"),
    ],
)
def test_a_row_that_cannot_be_prepared_is_refused_alone(
    wish: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Rule 2; the others share their call, and the log has a traceback. Ahead of a batch it raises."""
    engine = loaded("Clumsy")
    first, bad, last = run(engine, None, wish, None)
    assert caplog.records[-1].getMessage() == f"engine {HERE}:Clumsy could not prepare a request"
    assert [first, last] == [Heard(text="2 rows", data={"seconds": 0.5})] * 2
    assert isinstance(bad, EngineError)
    assert message in bad.message
    with pytest.raises((ValueError, EngineError)):
        engine.prepare(SAMPLES, Options(hotwords=wish))


def test_a_batch_of_refused_rows_is_no_call() -> None:
    """Nobody has to write a `run` that takes no rows."""

    class Strict(own_engines.Clumsy):
        def run(self, rows: Sequence[Row]) -> list[Outcome]:
            assert rows
            return super().run(rows)

    engine = behind_the_door(Strict("m"))
    assert engine.run([]) == []
    [refused] = engine.run(engine.prepare_all([(SAMPLES, Options(hotwords="unprepared"))]))
    assert isinstance(refused, EngineError)


@pytest.mark.parametrize("model", ["loses rows", "mixes rows up", "forgets"])
def test_rows_that_are_not_those_asked_for_are_prepared_one_by_one(
    model: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever its `prepare_all` does, no request is answered with another's row."""
    engine = loaded("Clumsy", model)
    rows = engine.prepare_all([(SAMPLES, Options()), (np.zeros(16_000, np.float32), Options())])
    assert [row.seconds for row in rows] == [0.5, 1.0]
    [record] = caplog.records
    assert "prepares one by one" in record.getMessage()


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


def test_an_engine_that_does_not_unload_is_let_go() -> None:
    """Nothing of it is run any more, whatever it says."""
    own_engines.told.clear()
    engine = loaded("Clumsy", "stays")
    engine.unload()
    assert own_engines.told == ["unloading"]
    [outcome] = run(engine, None)
    assert isinstance(outcome, EngineError)
    assert "is not loaded" in outcome.message
    engine.load()
    assert run(engine, None) == [Heard(text="1 rows", data={"seconds": 0.5})]


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
