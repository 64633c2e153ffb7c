"""The models of one engine process: loaded when a batch asks for them, and out of memory again.

The rules, each with a test of its name in `tests/workers/test_models.py`:

1. The default is loaded before the worker takes work, each other model by the first batch that asks for it.
2. At most `max_loaded_models` are in memory: for one more, the one that ran longest ago leaves. So it does
   when the memory is full, until the new one fits or nobody is left.
3. A model that has run no batch for `model_idle_ttl` seconds leaves.
4. What leaves does so between two batches, on the thread that runs them: never under a batch, and a batch
   that comes meanwhile waits and loads it again.
5. A model that cannot be loaded fails the batches that ask for it, and is not tried again in each of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from protocol.errors import EngineError, OutOfMemory, TranscriptionError
from workers.engine.base import Engine
from workers.engine.choice import make_engine
from workers.settings import Settings

log = logging.getLogger("workers.models")

#: How long a model that could not be loaded is not tried again, in seconds: asking a hub takes some, during
#: which nothing else runs, and a folder that is put right should not need a restart.
UNAVAILABLE_SECONDS = 60.0

Tell = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class _Loaded:
    engine: Engine
    used_at: float
    """When its last batch ended, or it was loaded."""


class Models:
    """The engines by the names of their models. For one thread, except `loaded`."""

    def __init__(
        self,
        makers: Mapping[str, Callable[[], Engine]],
        default: str,
        *,
        most: int = 0,
        idle_ttl: float = 0.0,
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            makers: for each name, what makes its engine, not loaded.
            default: the name that None stands for.
            most: how many may be in memory; 0 sets no limit.
            idle_ttl: after how many seconds without a batch one leaves; 0 never.
            tell: is told ``{"loading": model}`` before a batch has to wait for its model, and
                ``{"loaded": model, "seconds": float}`` afterwards.
            clock: seconds that never go back.
        """
        self._makers = makers
        self._default = default
        self._most = most or len(makers)
        self._idle_ttl = idle_ttl
        self._tell = tell
        self._clock = clock
        self._loaded: dict[str, _Loaded] = {}
        self._failed_at: dict[str, float] = {}

    @classmethod
    def of(cls, settings: Settings, tell: Tell) -> Models:
        """Those that the operator has chosen."""
        return cls(
            {name: partial(make_engine, alone) for name, alone in settings.catalogue.items()},
            settings.model,
            most=settings.max_loaded_models,
            idle_ttl=settings.model_idle_ttl,
            tell=tell,
        )

    def load(self) -> Engine:
        """Load the default.

        Raises:
            TranscriptionError: it cannot be loaded, and why, for the operator.
        """
        return self._load(self._default, self._makers[self._default]()).engine

    @contextmanager
    def use(self, name: str | None) -> Iterator[Engine]:
        """The engine of a model for one batch, loaded if it was not.

        Raises:
            EngineError: `MODEL_UNAVAILABLE`; why is in the log, since it may name paths.
        """
        loaded = self._loaded.get(name or self._default) or self._load_for_batch(name or self._default)
        try:
            yield loaded.engine
        finally:
            loaded.used_at = self._clock()

    def loaded(self, name: str | None) -> Engine | None:
        """The engine of a model if it is in memory now; it may leave at any time. For any thread."""
        loaded = self._loaded.get(name or self._default)
        return loaded.engine if loaded is not None else None

    def idle_in(self) -> float | None:
        """In how many seconds the next model has to leave if no batch comes; None if none ever has."""
        if not self._idle_ttl or not self._loaded:
            return None
        first = min(loaded.used_at for loaded in self._loaded.values())
        return max(0.0, first + self._idle_ttl - self._clock())

    def unload_idle(self) -> None:
        """Unload the models whose time has come."""
        now = self._clock()
        for name, loaded in list(self._loaded.items()):
            if self._idle_ttl and loaded.used_at + self._idle_ttl <= now:
                self._unload(name, f"idle for {self._idle_ttl:g} s")

    def _load_for_batch(self, name: str) -> _Loaded:
        engine = self._makers[name]()
        if self._clock() < self._failed_at.get(name, float("-inf")) + UNAVAILABLE_SECONDS:
            raise _unavailable(engine)
        self._tell({"loading": engine.model})
        started_at = self._clock()
        try:
            loaded = self._load(name, engine)
        except Exception as error:  # each engine's libraries raise their own; the batch needs an answer
            self._failed_at[name] = self._clock()
            log.error("%s", error if isinstance(error, TranscriptionError) else repr(error))
            raise _unavailable(engine) from error
        self._tell({"loaded": engine.model, "seconds": loaded.used_at - started_at})
        return loaded

    def _load(self, name: str, engine: Engine) -> _Loaded:
        while len(self._loaded) >= self._most:
            self._unload_one(f"{name} takes its place")
        while not self._fits(engine):
            engine = self._makers[name]()  # without what the first has loaded already
            self._unload_one(f"{name} does not fit beside it")
        self._loaded[name] = _Loaded(engine, self._clock())
        return self._loaded[name]

    def _fits(self, engine: Engine) -> bool:
        """Load the weights of `engine`, unless memory lacks that others hold."""
        try:
            engine.load()
        except OutOfMemory:
            if not self._loaded:
                raise
            return False
        return True

    def _unload_one(self, why: str) -> None:
        self._unload(min(self._loaded, key=lambda name: self._loaded[name].used_at), why)

    def _unload(self, name: str, why: str) -> None:
        self._loaded.pop(name).engine.unload()
        log.info("model %s has left the memory: %s", name, why)


def _unavailable(engine: Engine) -> EngineError:
    reason = "the worker's log says why"  # to its operator: a reason may quote paths
    return EngineError(f"model {engine.model!r} cannot be loaded, {reason}", "MODEL_UNAVAILABLE")
