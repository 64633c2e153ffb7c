"""An engine of the operator's own: a rule of `workers.engine.own` each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from protocol.errors import EngineError, GaveUp, OutOfMemory
from protocol.options import Options
from tests.workers import own_engines
from workers.engine.base import Engine, Heard, Outcome, Row, Samples
from workers.engine.isolation import run_isolated
from workers.engine.own import OwnEngine

HERE = "tests.workers.own_engines"
SAMPLES = np.zeros(8_000, np.float32)


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
        (f"{HERE}:Unsaid", "m", "TypeError: takes is 'text': expected a tuple of 'audio', 'text', or of one"),
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
        ("another row", "gave a row that has not the samples that it was given"),
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


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ("unprepared", "ValueError: not this one"),
        ("another row", "gave a row that has not the text that it was given"),
    ],
)
def test_a_text_that_cannot_be_prepared_is_refused_alone(wish: str, message: str) -> None:
    """Rule 2 again."""
    engine = loaded("Speaker")
    assert engine.takes == ("text",)
    asked = [(f"{nth}", Options(hotwords=hotwords)) for nth, hotwords in enumerate((None, wish, None))]
    first, bad, last = run_isolated(engine, engine.prepare_all(asked)).outcomes
    assert [first, last] == [Heard(text="0", audio=b"\0"), Heard(text="2", audio=b"\0")]
    assert isinstance(bad, EngineError)
    assert message in bad.message


def test_an_engine_that_inherits_nothing_takes_audio() -> None:
    """As it did before there were texts; and a text as it is, if it only says that it takes it."""
    engine = loaded("Bare")
    assert engine.takes == ("audio",)
    assert run(engine, None) == [Heard(text="0.5")]
    assert engine.prepare_text("a", Options()).text == "a"


def test_a_row_without_samples_is_refused() -> None:
    """Others count what it takes in memory."""

    class ByHand(own_engines.Speaker):
        def prepare_text(self, text: str, options: Options) -> Row:
            return Row(samples=None, text=text, options=options)  # type: ignore[arg-type]

    with pytest.raises(EngineError, match="gave a row with NoneType for samples"):
        behind_the_door(ByHand("m")).prepare_text("a", Options())


def test_a_row_that_is_an_error_is_told_as_one() -> None:
    """Whatever it was made of, and not as what only a worker may decide."""

    class Doomed(own_engines.Least):
        def prepare(self, samples: Samples, options: Options) -> Row:
            return Row(samples=samples, options=options, features=GaveUp("for me"))

    [outcome] = run(behind_the_door(Doomed("m")), None)
    assert (type(outcome), str(outcome)) == (EngineError, "for me [ENGINE_ERROR]")


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
