"""Which models are in memory: loaded on first use, at most so many, not for longer than they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from protocol.errors import EngineError, OutOfMemory
from protocol.options import Options
from workers.engine.base import Heard, Row, Samples
from workers.engine.choice import make_engine
from workers.engine.fake import FakeEngine
from workers.engine.models import UNAVAILABLE_SECONDS, Models
from workers.settings import Settings


class Recorded(FakeEngine):
    """A fake engine whose loading and unloading are written down."""

    def __init__(self, model: str, diary: list[str], has_room: Callable[[], bool]) -> None:
        super().__init__(model)
        self._diary = diary
        self._has_room = has_room

    def load(self) -> None:
        self._diary.append(f"load {self._script}")
        if self._script == "large" and not self._has_room():
            raise OutOfMemory("it does not fit")
        super().load()

    def unload(self) -> None:
        self._diary.append(f"unload {self._script}")


class Workplace:
    """Some models, a clock that is moved by hand, and what happens there, in order.

    One of the name "large" fits into memory beside `fits_beside` others.
    """

    def __init__(self, *names: str, most: int = 0, idle_ttl: float = 0.0, fits_beside: int = 9) -> None:
        self.diary: list[str] = []
        self.told: list[dict[str, Any]] = []
        self.now = 1_000.0
        self._fits_beside = fits_beside
        self._names = names = names or ("fast", "balanced", "quality")
        self.models = Models(
            {name: self._maker(name) for name in names},
            names[0],
            most=most,
            idle_ttl=idle_ttl,
            tell=self.told.append,
            clock=lambda: self.now,
        )

    def run(self, *names: str | None, seconds: float = 0.0) -> None:
        """A batch for each of these models, one after the other, each as long as this."""
        for name in names:
            with self.models.use(name) as engine:
                self.diary.append(f"run {engine.model.removeprefix('fake ')}")
                self.now += seconds

    def _maker(self, name: str) -> Callable[[], FakeEngine]:
        return lambda: Recorded(name, self.diary, self._has_room)

    def _has_room(self) -> bool:
        return sum(self.models.loaded(name) is not None for name in self._names) <= self._fits_beside


def heard(engine: FakeEngine | Any, samples: Samples) -> str:
    row: Row = engine.prepare(samples, Options(initial_prompt="echo the model"))
    [outcome] = engine.run([row])
    assert isinstance(outcome, Heard)
    return outcome.text.partition(":")[2]


def test_each_batch_is_heard_by_its_own_model() -> None:
    """A batch runs on the engine of the model that it asks for, or the default's."""
    place, sound = Workplace(), np.zeros(800, np.float32)
    for name, model in ((None, "fast"), ("quality", "quality"), ("fast", "fast"), ("balanced", "balanced")):
        with place.models.use(name) as engine:
            assert heard(engine, sound) == engine.model == f"fake {model}"


def test_only_the_default_is_loaded_at_first() -> None:
    """The others are loaded by the first batch that asks for them, and once."""
    place = Workplace()
    assert place.models.load().model == "fake fast"
    place.run(None, "fast", "quality", None, "quality")
    assert place.diary == [
        "load fast",
        "run fast",
        "run fast",
        "load quality",
        "run quality",
        "run fast",
        "run quality",
    ]


def test_who_waits_for_a_model_is_told() -> None:
    """Loading on first use is told before and after, since it may take longer than any batch."""
    place = Workplace()
    place.models.load()
    assert place.told == []
    place.run("quality", "quality")
    assert place.told == [{"loading": "fake quality"}, {"loaded": "fake quality", "seconds": 0.0}]


def test_the_model_that_ran_longest_ago_leaves() -> None:
    """Before one more than may be loaded comes, the one whose last batch ended first makes room."""
    place = Workplace(most=2)
    place.run("fast", "balanced", "fast", seconds=1.0)
    place.diary.clear()
    place.run("quality", "fast", seconds=1.0)
    assert place.diary == ["unload balanced", "load quality", "run quality", "run fast"]


def test_one_place_is_enough_for_all() -> None:
    """With `max_loaded_models` 1 there is never a second model in memory."""
    place = Workplace(most=1)
    place.run("fast", "quality", "fast")
    loads = [line for line in place.diary if not line.startswith("run")]
    assert loads == ["load fast", "unload fast", "load quality", "unload quality", "load fast"]


def test_a_full_memory_sends_the_others_away() -> None:
    """Who ran longest ago first, and no more than it takes; the new one is loaded afresh each time."""
    place = Workplace("fast", "balanced", "large", fits_beside=1)
    place.run("balanced", "fast", seconds=1.0)
    place.diary.clear()
    place.run("large")
    assert place.diary == ["load large", "unload balanced", "load large", "run large"]


def test_a_model_that_does_not_fit_alone_fails() -> None:
    """When nobody is left to leave, it is unavailable, and the others come back when they are asked for."""
    place = Workplace("fast", "large", fits_beside=-1)
    place.run("fast")
    place.diary.clear()
    with pytest.raises(EngineError) as caught:
        place.run("large")
    assert caught.value.code == "MODEL_UNAVAILABLE"
    place.run("fast")
    assert place.diary == ["load large", "unload fast", "load large", "load fast", "run fast"]


def test_an_idle_model_leaves() -> None:
    """After `model_idle_ttl` seconds without a batch, counted from the end of its last one."""
    place = Workplace(idle_ttl=60.0)
    place.run("fast", seconds=100.0)
    assert place.models.idle_in() == 60.0
    place.now += 59.9
    place.models.unload_idle()
    assert place.models.loaded("fast") is not None
    place.now += 0.1
    place.models.unload_idle()
    assert place.diary[-1] == "unload fast"
    assert place.models.idle_in() is None


def test_only_the_idle_one_leaves() -> None:
    """A model that is used stays, and says when its own time comes."""
    place = Workplace(idle_ttl=60.0)
    place.run("fast", "quality")
    place.now += 40.0
    place.run("quality")
    place.now += 20.0
    place.models.unload_idle()
    assert place.diary[-1] == "unload fast"
    assert place.models.idle_in() == 40.0


def test_without_a_ttl_nobody_leaves() -> None:
    """By default a model stays as long as its worker."""
    place = Workplace()
    place.run("fast")
    place.now += 1e9
    place.models.unload_idle()
    assert place.models.idle_in() is None
    assert place.models.loaded(None) is not None


def test_a_batch_that_comes_after_all_is_heard() -> None:
    """A model that has left is loaded again by the next batch that asks for it."""
    place = Workplace(idle_ttl=60.0)
    place.run("fast")
    place.now += 60.0
    place.models.unload_idle()
    place.run("fast")
    assert place.diary == ["load fast", "run fast", "unload fast", "load fast", "run fast"]


def test_a_model_that_cannot_be_loaded_fails_its_own_batches() -> None:
    """The caller learns which model, the operator's log why; the other models go on."""
    place = Workplace("fast", "missing")
    with pytest.raises(EngineError, match="model 'fake missing' cannot be loaded") as caught:
        place.run("missing")
    assert caught.value.code == "MODEL_UNAVAILABLE"
    assert "scripted" not in caught.value.message
    place.run("fast")
    assert place.diary[-1] == "run fast"


def test_a_missing_model_is_not_looked_for_in_every_batch() -> None:
    """Only after a while, since looking may take long; then it is, since it may have been put right."""
    place = Workplace("fast", "missing")
    for _ in range(3):
        with pytest.raises(EngineError):
            place.run("missing")
    assert place.diary == ["load missing"]
    place.now += UNAVAILABLE_SECONDS
    with pytest.raises(EngineError):
        place.run("missing")
    assert place.diary == ["load missing"] * 2


def test_the_default_says_why_it_cannot_be_loaded() -> None:
    """At the start the reason goes to the operator, whose worker then ends."""
    with pytest.raises(EngineError, match="as scripted"):
        Workplace("missing", "fast").models.load()


@pytest.mark.parametrize("name", ["fast", None])
def test_looking_for_a_loaded_model_loads_nothing(name: str | None) -> None:
    """Whoever prepares ahead uses what is there."""
    place = Workplace()
    assert place.models.loaded(name) is None
    place.run("fast")
    engine = place.models.loaded(name)
    assert engine is not None
    assert engine.model == "fake fast"
    assert place.models.loaded("quality") is None


def test_engines_are_as_the_settings_say() -> None:
    """One for each name, on the model and the engine that stand there."""
    settings = Settings.model_validate(
        {"engine": "fake", "models": {"fast": "tiny", "own": {"model": "demo", "engine": "faster-whisper"}}}
    )
    made = {name: make_engine(alone) for name, alone in settings.catalogue.items()}
    assert {name: (type(engine).__name__, engine.model) for name, engine in made.items()} == {
        "fast": ("FakeEngine", "fake tiny"),
        "own": ("FasterWhisperEngine", "demo"),
    }
