"""One engine call for a batch; when it fails, as few more as it takes to leave only the guilty rows failed.

Rules:

1. A batch whose call succeeds costs one call.
2. Out of memory halves the batch by position; what is left runs in pieces smaller than the size that
   failed. A row that does not fit alone fails.
3. Any other exception halves too, until the guilty rows stand alone and fail: at most
   2·⌈log2 n⌉ further calls for each of them.
4. Results that a row has are kept; no row is in a second successful call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.errors import EngineError, OutOfMemory, TranscriptionError
from workers.engine.base import Engine, Outcome, Row

#: Longest message of an exception that is passed on, in characters.
MAX_MESSAGE_CHARACTERS = 500

#: A file's path in a foreign message: it says how this machine is laid out, and is nobody's business.
_PATH = re.compile(r"(?<![\w<])(?:[A-Za-z]:\\|~?/)[^\s'\",;:()<>]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a batch, and what it took."""

    outcomes: list[Outcome]
    """One for each row, in order."""
    engine_calls: int
    out_of_memory_at: int | None
    """The smallest number of rows that did not fit; None if memory sufficed."""


def run_isolated(engine: Engine, rows: Sequence[Row]) -> Report:
    """Run `rows` so that a row which breaks the engine call fails alone; never raises for a row's sake."""
    attempt = _Attempt(engine, rows)
    attempt.run()
    return Report(
        outcomes=[attempt.outcomes[position] for position in range(len(rows))],
        engine_calls=attempt.calls,
        out_of_memory_at=attempt.out_of_memory_at,
    )


class _Attempt:
    """The pieces of one batch that still wait, first positions last, and what the others gave."""

    def __init__(self, engine: Engine, rows: Sequence[Row]) -> None:
        self.engine = engine
        self.rows = rows
        self.waiting = [range(len(rows))] if rows else []
        self.outcomes: dict[int, Outcome] = {}
        self.calls = 0
        self.out_of_memory_at: int | None = None

    def run(self) -> None:
        while self.waiting:
            piece = self.waiting.pop()
            if self._is_hopeless(piece):
                self._halve(piece)
            else:
                self._call(piece)

    def _is_hopeless(self, piece: range) -> bool:
        """Whether as many rows did not fit before; a single row always gets its call."""
        return self.out_of_memory_at is not None and len(piece) >= max(self.out_of_memory_at, 2)

    def _call(self, piece: range) -> None:
        self.calls += 1
        try:
            outcomes = self.engine.run([self.rows[position] for position in piece])
            self.outcomes |= dict(zip(piece, outcomes, strict=True))
        except OutOfMemory as error:
            self.out_of_memory_at = len(piece)
            self._halve_or_fail(piece, error)
        # The one blanket `except` of the engine side: whatever an engine raises, its caller must still
        # settle every request of the batch.
        except Exception as error:
            self._halve_or_fail(piece, as_engine_error(error))

    def _halve_or_fail(self, piece: range, error: TranscriptionError) -> None:
        if len(piece) == 1:
            self.outcomes[piece[0]] = without_frames(error)
        else:
            self._halve(piece)

    def _halve(self, piece: range) -> None:
        middle = len(piece) // 2
        self.waiting += [piece[middle:], piece[:middle]]


def without_frames(error: TranscriptionError) -> TranscriptionError:
    """`error`, holding on to nothing that the failed call had: its neighbours may need that memory."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def said_by(thing: object) -> str:
    """The text of `thing`, as anybody can write it down; empty if it will not say."""
    try:
        return str(thing).encode("utf-8", "replace").decode()
    except Exception:  # of a `__str__` that somebody else wrote
        return ""


def as_engine_error(error: Exception) -> TranscriptionError:
    """`error` as the world may see it: its type and message, without paths, at most 500 characters."""
    if isinstance(error, TranscriptionError):
        return error
    message = _PATH.sub("<path>", " ".join(said_by(error).split()))
    return EngineError(f"{type(error).__name__}: {message}"[:MAX_MESSAGE_CHARACTERS])
