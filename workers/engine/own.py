"""An engine of the operator's own, named ``module:Class``: what it raises and returns is checked here.

It has the members of `workers.engine.base.Engine`, or inherits those that it does not need. A mistake in it
fails the row that it was made with, as far as that can be told, and never ends the engine process:

1. A class that cannot be imported, made or loaded is a model that cannot be loaded.
2. A row whose `prepare` raises, or that is another's, is refused; the others run without it.
3. `run` owes one outcome for each row; a batch with more or fewer is taken apart, as if `run` had raised.
4. An outcome that nobody could read fails alone. What goes out is what the JSON of it says, so that it can be
   written beside any other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any, get_args

import numpy as np

from protocol.errors import EngineError, OutOfMemory, TranscriptionError
from protocol.options import Options
from protocol.request import Medium
from workers.engine.base import Asked, Engine, Given, Outcome, Row, Samples, prepared
from workers.engine.isolation import as_engine_error
from workers.engine.naming import shown_name
from workers.engine.own_outcome import Checker, Mistake, told

log = logging.getLogger("workers.engine.own")


class OwnEngine(Engine):
    """The door to it; see the head of this module. The class is imported by `load`, not before."""

    def __init__(self, name: str, model: str, **how: Any) -> None:
        """`name` is ``module:Class``; the class is called with `model`, and with `how` by name."""
        self.model = shown_name(model)
        self._name = name
        self._given = model
        self._how = how
        self._engine: Engine | None = None
        self._check = Checker()

    def load(self) -> None:
        """Import the class, make one and load it.

        Raises:
            OutOfMemory: as its own `load`.
            EngineError: `MODEL_UNAVAILABLE`, with the reason.
        """
        module, _, attribute = self._name.partition(":")
        try:
            engine: Engine = getattr(import_module(module), attribute)(self._given, **self._how)
            self.takes = _taken(engine)
            engine.load()
        except OutOfMemory:
            raise
        except Exception as error:  # whatever somebody else's code raises
            log.exception("engine %s could not be loaded", self._name)
            reason = as_engine_error(error).message
            raise EngineError(
                f"engine {self._name!r} cannot be loaded: {reason}", "MODEL_UNAVAILABLE"
            ) from error
        self._engine = engine

    def unload(self) -> None:
        """Unload it, and let it go, whatever it says to that."""
        try:
            self._loaded.unload()
        except Exception:
            log.exception("engine %s did not unload", self._name)
        self._engine = None

    def prepare(self, samples: Samples, options: Options) -> Row:
        """As it does; what it raises ahead of a batch, it raises in it again."""
        return self._made(self._loaded.prepare(samples, options), samples)

    def prepare_text(self, text: str, options: Options) -> Row:
        """Likewise; the text as it is if that is left out."""
        prepare = getattr(self._loaded, "prepare_text", super().prepare_text)
        return self._made(prepare(text, options), text)

    def _made(self, row: Row, given: Given) -> Row:
        if mistake := _mistake_in(row, given):
            raise self._mistaken(mistake)
        return row

    def prepare_all(self, asked: Sequence[Asked]) -> list[Row]:
        """All at once as it does; if that fails one by one, and `run` refuses those that raise."""
        try:
            rows = list(self._loaded.prepare_all(asked))
        except Exception:  # one by one, it is seen whose it is
            log.exception("engine %s prepares one by one what it could not prepare at once", self._name)
            return [self._row(*one) for one in asked]
        if _are_for(rows, asked):
            return rows
        log.warning("engine %s prepares one by one: at once, it gave rows of other requests", self._name)
        return [self._row(*one) for one in asked]

    def _row(self, given: Given, options: Options) -> Row:
        try:
            return prepared(self, given, options)
        except Exception as error:  # of this row, whose neighbours have nothing to do with it
            log.exception("engine %s could not prepare a request", self._name)
            return Row(options=options, features=told(error))

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        """Its outcomes, checked, and the errors of those that could not be prepared.

        Raises:
            OutOfMemory: the device could not hold this batch.
            TranscriptionError: anything else of its own, or that it gave too few.
        """
        ready = [row for row in rows if not isinstance(row.features, TranscriptionError)]
        given = iter(self._run(ready) if ready else ())
        return [
            told(row.features) if isinstance(row.features, TranscriptionError) else self._checked(next(given))
            for row in rows
        ]

    def _run(self, rows: Sequence[Row]) -> list[object]:
        """As many outcomes as there are rows."""
        try:
            outcomes: list[object] = list(self._loaded.run(list(rows)))
        except Exception as error:
            if len(rows) == 1 and not isinstance(error, TranscriptionError):
                # The guilty one: a larger batch is halved, and runs again.
                log.exception("engine %s could not run a request", self._name)
            raise told(error) from error
        if len(outcomes) != len(rows):
            raise self._mistaken(f"{len(outcomes)} outcomes for {len(rows)} rows")
        return outcomes

    @property
    def _loaded(self) -> Engine:
        if self._engine is None:
            raise EngineError(f"engine {self._name!r} is not loaded")
        return self._engine

    def _checked(self, outcome: object) -> Outcome:
        """`outcome` as it can be told to the caller, else an error that says why not."""
        try:
            return self._check(outcome)
        except Mistake as mistake:
            return self._mistaken(str(mistake))

    def _mistaken(self, what: str) -> EngineError:
        return EngineError(f"engine {self._name!r} gave {what}")


def _are_for(rows: Sequence[object], asked: Sequence[Asked]) -> bool:
    """Whether there is a row for each, and it stands in its place."""
    if len(rows) != len(asked):
        return False
    return not any(_mistake_in(row, given) for row, (given, _) in zip(rows, asked, strict=True))


def _mistake_in(row: object, given: Given) -> str:
    """What there is instead of a row of what was `given`; empty if it is one."""
    if not isinstance(row, Row):
        return f"{type(row).__name__} for a row"
    if row.given is not given:  # an answer to it may be one to somebody else
        return f"a row that has not the {'text' if isinstance(given, str) else 'samples'} that it was given"
    if not isinstance(row.samples, np.ndarray):
        return f"a row with {type(row.samples).__name__} for samples"
    return ""


def _taken(engine: Engine) -> Sequence[Medium]:
    """Raises `TypeError`."""
    taken = getattr(engine, "takes", Engine.takes)
    if not isinstance(taken, list | tuple) or not taken or not set(taken) <= set(get_args(Medium)):
        known = ", ".join(map(repr, get_args(Medium)))
        raise TypeError(f"takes is {taken!r}: expected a tuple of {known}, or of one of them")
    return tuple(taken)
