"""An engine of the operator's own: a rule of `workers.engine.own` each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocol.errors import EngineError, OutOfMemory
from protocol.options import Options
from protocol.transcript import Segment
from tests.workers import own_engines
from workers.engine.base import Heard, Outcome, Row
from workers.engine.isolation import run_isolated
from workers.engine.own import MAX_OUTCOME_BYTES, OwnEngine

HERE = "tests.workers.own_engines"
SAMPLES = np.zeros(8_000, np.float32)


def loaded(name: str, model: str = "m") -> OwnEngine:
    engine = OwnEngine(f"{HERE}:{name}", model, device="cpu", compute_type="auto", cpu_threads=1)
    engine.load()
    return engine


def run(engine: OwnEngine, *wishes: str | None) -> list[Outcome]:
    asked = [(SAMPLES, Options(hotwords=wish)) for wish in wishes]
    return run_isolated(engine, engine.prepare_all(asked)).outcomes


def test_it_is_made_of_the_settings() -> None:
    """The class is called with the model, and by name with how it is to run."""
    own_engines.told.clear()
    assert loaded("Plain").model == "m"
    assert own_engines.told == ["made with {'device': 'cpu', 'compute_type': 'auto', 'cpu_threads': 1}"]


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
def test_what_cannot_be_loaded_says_why(name: str, model: str, reason: str) -> None:
    """Rule 1, with the name that was given; without paths."""
    with pytest.raises(EngineError, match=f"engine '{name}' cannot be loaded: {reason}") as raised:
        OwnEngine(name, model).load()
    assert raised.value.code == "MODEL_UNAVAILABLE"


def test_a_model_too_large_for_the_device_is_no_mistake() -> None:
    """When others have left, it may fit."""
    with pytest.raises(OutOfMemory):
        loaded("Clumsy", "too large")


@pytest.mark.parametrize(
    ("wish", "message"), [("unprepared", "ValueError: not this one"), ("no row", "gave NoneType for a row")]
)
def test_a_row_that_cannot_be_prepared_is_refused_alone(
    wish: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Rule 2; the others share their call, and the log has a traceback. Ahead of a batch it raises."""
    engine = loaded("Clumsy")
    first, bad, last = run(engine, None, wish, None)
    assert len(caplog.records) == 1
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

    engine = OwnEngine("a:b", "m")
    engine._engine = Strict("m")
    assert engine.run([]) == []
    [refused] = engine.run(engine.prepare_all([(SAMPLES, Options(hotwords="unprepared"))]))
    assert isinstance(refused, EngineError)


@pytest.mark.parametrize("model", ["loses rows", "mixes rows up", "forgets"])
def test_rows_that_are_not_those_asked_for_are_prepared_one_by_one(model: str) -> None:
    """Whatever its `prepare_all` does, no request is answered with another's row."""
    engine = loaded("Clumsy", model)
    rows = engine.prepare_all([(SAMPLES, Options()), (np.zeros(16_000, np.float32), Options())])
    assert [row.seconds for row in rows] == [0.5, 1.0]


def test_a_batch_with_too_few_outcomes_fails() -> None:
    """Rule 3: nobody could say whose they are."""
    engine = loaded("Clumsy", "loses outcomes")
    with pytest.raises(EngineError, match="gave 1 outcomes for 2 rows"):
        engine.run(engine.prepare_all([(SAMPLES, Options())] * 2))
    assert all(isinstance(outcome, EngineError) for outcome in run(engine, None, None))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "text of type NoneType"),
        ({"language": 7}, "language of type int"),
        ({"language_probability": "high"}, "language_probability of type str"),
        ({"segments": []}, "segments of type list"),
        ({"segments": ("a",)}, "segments of another type"),
        ({"no_speech": 1}, "no_speech of type int"),
        ({"data": [1.0]}, "data of type list"),
        ({"data": {"samples": SAMPLES}}, "not plain data: .*ndarray"),
        ({"warnings": (SAMPLES,)}, "not plain data"),
        (
            {"segments": (Segment(id=1, start=0.0, end=1.0, text="", tokens=(SAMPLES,)),)},  # type: ignore[arg-type]
            "not plain data: .*ndarray",
        ),
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

    engine = OwnEngine("a:b", "m")
    engine._engine = Mixed("m")
    first, bad, last = engine.run([Row(samples=SAMPLES, options=Options())] * 3)
    assert (first, last) == (good, good)
    with pytest.raises(EngineError, match=f"engine 'a:b' gave .*{message}"):
        raise bad  # type: ignore[misc]


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

    engine = OwnEngine("a:b", "m")
    engine._engine = Breaks("m")
    outcomes = run(engine, None, None, "break", None)
    assert [isinstance(outcome, Heard) for outcome in outcomes] == [True, True, False, True]
    [record] = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)
