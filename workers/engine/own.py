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
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from protocol.errors import BY_NAME, EngineError, OutOfMemory, RequestError, TranscriptionError
from protocol.options import Options
from workers.engine.base import Asked, Engine, Heard, Outcome, Row, Samples
from workers.engine.isolation import MAX_MESSAGE_CHARACTERS, as_engine_error, said_by
from workers.engine.naming import shown_name

log = logging.getLogger("workers.engine.own")

#: Most that one outcome may hold, as JSON: it goes to Redis, and stays there for a day. An embedding of 4 096
#: numbers has some 80 000 bytes.
MAX_OUTCOME_BYTES = 1_000_000

#: Longest code of an error, in characters: it is a label in metrics.
MAX_CODE_CHARACTERS = 40


class OwnEngine(Engine):
    """The door to it; see the head of this module. The class is imported by `load`, not before."""

    def __init__(self, name: str, model: str, **how: Any) -> None:
        """`name` is ``module:Class``; the class is called with `model`, and with `how` by name."""
        self.model = shown_name(model)
        self._name = name
        self._given = model
        self._how = how
        self._engine: Engine | None = None
        self._heard = TypeAdapter(Heard)

    def load(self) -> None:
        """Import the class, make one and load it.

        Raises:
            OutOfMemory: as its own `load`.
            EngineError: `MODEL_UNAVAILABLE`, with the reason.
        """
        module, _, attribute = self._name.partition(":")
        try:
            engine: Engine = getattr(import_module(module), attribute)(self._given, **self._how)
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
        row = self._loaded.prepare(samples, options)
        if mistake := _mistake_in(row, samples):
            raise self._mistaken(mistake)
        return row

    def prepare_all(self, asked: Sequence[Asked]) -> list[Row]:
        """All at once as it does; if that fails one by one, and `run` refuses those that raise."""
        try:
            rows = list(self._loaded.prepare_all(asked))
        except Exception:  # one by one, it is seen whose it is
            log.exception("engine %s prepares one by one what it could not prepare at once", self._name)
            return [self._row(samples, options) for samples, options in asked]
        if _are_for(rows, asked):
            return rows
        log.warning("engine %s prepares one by one: at once, it gave rows of other requests", self._name)
        return [self._row(samples, options) for samples, options in asked]

    def _row(self, samples: Samples, options: Options) -> Row:
        try:
            return self.prepare(samples, options)
        except Exception as error:  # of this row, whose neighbours have nothing to do with it
            log.exception("engine %s could not prepare a request", self._name)
            return Row(samples=samples, options=options, features=told(error))

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        """Its outcomes, checked, and the errors of those that could not be prepared.

        Raises:
            OutOfMemory: the device could not hold this batch.
            TranscriptionError: anything else of its own, or that it gave too few.
        """
        prepared = [row for row in rows if not isinstance(row.features, TranscriptionError)]
        given = iter(self._run(prepared) if prepared else ())
        return [
            row.features if isinstance(row.features, TranscriptionError) else self._checked(next(given))
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
        if isinstance(outcome, TranscriptionError):
            return told(outcome)
        if not isinstance(outcome, Heard):
            return self._mistaken(f"{type(outcome).__name__} for an outcome, expected Heard or an error")
        try:
            written = orjson.dumps(outcome, option=orjson.OPT_SERIALIZE_NUMPY)
            if len(written) > MAX_OUTCOME_BYTES:
                return self._mistaken(f"an outcome of {len(written)} bytes, the limit is {MAX_OUTCOME_BYTES}")
            return self._heard.validate_json(written, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return self._mistaken(f"{'.'.join(map(str, first['loc']))} in an outcome: {first['msg']}")
        except (TypeError, RecursionError) as error:  # of orjson
            return self._mistaken(f"an outcome that is not plain data: {error}")

    def _mistaken(self, what: str) -> EngineError:
        return EngineError(f"engine {self._name!r} gave {what}")


def told(error: Exception) -> TranscriptionError:
    """`error` as the caller may have it: one of our own classes, with a text and a code."""
    if not isinstance(error, TranscriptionError):
        return as_engine_error(error)
    message = said_by(getattr(error, "message", ""))[:MAX_MESSAGE_CHARACTERS]
    if not isinstance(error, RequestError | EngineError):  # what becomes of a request is not for it to say
        return EngineError(message)
    kind: type[TranscriptionError] = next(kind for kind in type(error).__mro__ if kind in BY_NAME.values())
    return kind(message, said_by(getattr(error, "code", ""))[:MAX_CODE_CHARACTERS] or None)


def _are_for(rows: Sequence[object], asked: Sequence[Asked]) -> bool:
    """Whether there is a row for each, and it stands in its place."""
    if len(rows) != len(asked):
        return False
    return not any(_mistake_in(row, samples) for row, (samples, _) in zip(rows, asked, strict=True))


def _mistake_in(row: object, samples: Samples) -> str:
    """What is given instead of a row of `samples`; empty if it is one."""
    if not isinstance(row, Row):
        return f"{type(row).__name__} for a row"
    if row.samples is not samples:  # an answer to it may be one to somebody else
        return "a row of other samples than it was asked to prepare"
    return ""
