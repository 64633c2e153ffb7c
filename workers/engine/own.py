"""An engine of the operator's own, named ``module:Class``: what it raises and returns is checked here.

It has the members of `workers.engine.base.Engine`, or inherits those that it does not need. A mistake in it
fails the row that it was made with, as far as that can be told, and never ends the engine process:

1. A class that cannot be imported, made or loaded is a model that cannot be loaded.
2. A row whose `prepare` raises is refused with that; the others run without it.
3. `run` owes one outcome for each row; a batch with more or fewer is taken apart, as if `run` had raised.
4. An outcome that nobody could read fails alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from typing import Any

from protocol.errors import EngineError, OutOfMemory, TranscriptionError
from protocol.fast_json import dumps
from protocol.options import Options
from protocol.transcript import Segment, Transcript
from protocol.wire import encode_transcript
from workers.engine.base import Asked, Engine, Heard, Outcome, Row, Samples
from workers.engine.isolation import as_engine_error

log = logging.getLogger("workers.engine.own")

#: Most that one outcome may hold, as JSON: it goes to Redis, and stays there for a day. An embedding of 4 096
#: numbers has some 80 000 bytes.
MAX_OUTCOME_BYTES = 1_000_000

#: What a field of `Heard` must be, where JSON alone would not say that it is something else.
_TYPES: dict[str, type | tuple[type, ...]] = {
    "text": str,
    "language": str,
    "language_probability": (int, float),
    "segments": tuple,
    "no_speech": bool,
    "warnings": tuple,
    "data": (dict, type(None)),
}


class OwnEngine(Engine):
    """The door to it; see the head of this module. The class is imported by `load`, not before."""

    def __init__(self, name: str, model: str, **how: Any) -> None:
        """`name` is ``module:Class``; the class is called with `model`, and with `how` by name."""
        self.model = model
        self._name = name
        self._how = how
        self._engine: Engine | None = None

    def load(self) -> None:
        """Import the class, make one and load it.

        Raises:
            OutOfMemory: as its own `load`.
            EngineError: `MODEL_UNAVAILABLE`, with the reason.
        """
        module, _, attribute = self._name.partition(":")
        try:
            engine: Engine = getattr(import_module(module), attribute)(self.model, **self._how)
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
        if not isinstance(row, Row):
            raise self._mistaken(f"{type(row).__name__} for a row")
        return row

    def prepare_all(self, asked: Sequence[Asked]) -> list[Row]:
        """All at once as it does; if that fails one by one, and `run` refuses those that raise."""
        try:
            rows = list(self._loaded.prepare_all(asked))
        except Exception:  # one by one, it is seen whose it is
            rows = []
        return rows if _are_for(rows, asked) else [self._row(samples, options) for samples, options in asked]

    def _row(self, samples: Samples, options: Options) -> Row:
        try:
            return self.prepare(samples, options)
        except Exception as error:  # of this row, whose neighbours have nothing to do with it
            log.exception("engine %s could not prepare a request", self._name)
            return Row(samples=samples, options=options, features=as_engine_error(error))

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        """Its outcomes, checked, and the errors of those that could not be prepared.

        Raises:
            OutOfMemory: the device could not hold this batch.
            Exception: anything else of its own.
        """
        prepared = [row for row in rows if not isinstance(row.features, TranscriptionError)]
        outcomes = self._run(prepared) if prepared else []
        if len(outcomes) != len(prepared):
            raise EngineError(f"engine {self._name!r} gave {len(outcomes)} outcomes for {len(prepared)} rows")
        given = iter(outcomes)
        return [
            row.features if isinstance(row.features, TranscriptionError) else self._checked(next(given))
            for row in rows
        ]

    def _run(self, rows: Sequence[Row]) -> list[Outcome]:
        try:
            return list(self._loaded.run(rows))
        except OutOfMemory:
            raise
        except Exception:
            if len(rows) == 1:  # the guilty one; a larger batch is halved, and runs again
                log.exception("engine %s could not run a request", self._name)
            raise

    @property
    def _loaded(self) -> Engine:
        if self._engine is None:
            raise EngineError(f"engine {self._name!r} is not loaded")
        return self._engine

    def _checked(self, outcome: object) -> Outcome:
        """`outcome` if it can be told to the caller, else an error that says why not."""
        if isinstance(outcome, TranscriptionError):
            return outcome
        if not isinstance(outcome, Heard):
            return self._mistaken(f"{type(outcome).__name__} for an outcome, expected Heard or an error")
        if mistake := _mistyped(outcome) or _unreadable(outcome):
            return self._mistaken(mistake)
        return outcome

    def _mistaken(self, what: str) -> EngineError:
        return EngineError(f"engine {self._name!r} gave {what}")


def _are_for(rows: Sequence[object], asked: Sequence[Asked]) -> bool:
    """Whether each is a row, and that of its place: one in another's would be an answer to somebody else."""
    if len(rows) != len(asked):
        return False
    pairs = zip(rows, asked, strict=True)
    return all(isinstance(row, Row) and row.samples is samples for row, (samples, _) in pairs)


def _mistyped(heard: Heard) -> str:
    """What is of the wrong type; empty if nothing is."""
    for name, kind in _TYPES.items():
        if not isinstance(value := getattr(heard, name), kind):
            return f"{name} of type {type(value).__name__}"
    return "" if all(isinstance(one, Segment) for one in heard.segments) else "segments of another type"


def _unreadable(heard: Heard) -> str:
    """What keeps it from being stored; empty if nothing does."""
    try:
        size = len(dumps(encode_transcript(_as_transcript(heard))))
    except (TypeError, ValueError, RecursionError) as error:
        return f"an outcome that is not plain data: {error}"
    return f"an outcome of {size} bytes, the limit is {MAX_OUTCOME_BYTES}" if size > MAX_OUTCOME_BYTES else ""


def _as_transcript(heard: Heard) -> Transcript:
    said = {one.name: getattr(heard, one.name) for one in fields(Heard)}
    return Transcript(request_id="", duration=0.0, **said)
