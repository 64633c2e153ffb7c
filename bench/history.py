"""What happened to every request, as all who had a part in it say: events that are recorded and written down.

A history is the only thing that `bench.checker` judges by. Producers record what they ask for before they
ask and what they heard after it; Redis's own append-only file says what was stored (`bench.witness`).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from protocol.errors import TranscriptionError
from protocol.transcript import Transcript
from protocol.wire import decode_error


class What(StrEnum):
    """What an event is about."""

    SUBMIT = "submit"
    """A producer enqueues; its value is the outcome that the request should have if nobody ends it."""
    CANCEL = "cancel"
    READ = "read"
    """A producer asked for the result."""
    TOLD = "told"
    """Whoever waits was told of a result."""
    ACCEPTED = "accepted"
    """A message came into the queue."""
    RUN = "run"
    """A worker gave the request to its engine."""
    RETURNED = "returned"
    """The message of a worker went back into the queue."""
    DIED = "died"
    """Its worker, or the engine alone, died of the batch that it ran in."""
    STORED = "stored"
    """A final result was written."""


class Phase(StrEnum):
    """How far an operation of a producer is; what others do has simply happened."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    """It has certainly not happened."""
    UNKNOWN = "unknown"
    """Nobody answered: it has happened or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to one request."""

    what: What
    request_id: str
    phase: Phase = Phase.OK
    value: str = ""
    """An outcome: ``SUCCESS:<text>`` or the code of an error."""
    by: str = ""
    """Whose doing it was: the worker, or the batch of a transcript."""
    seconds: float | None = None
    """Of a submit: how soon it expires. Of a transcript: how long it had waited when its batch was closed."""
    at: float | None = None
    """Seconds on the monotonic clock; None for what was read from a file that keeps only the order."""


class History:
    """Events in the order in which they were recorded, in memory and, one JSON object a line, in a file.

    Safe to share between threads.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.events: list[Event] = []
        self._clock = clock
        self._file = path.open("w", encoding="utf-8")
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def record(self, what: What, request_id: str, phase: Phase = Phase.OK, **more: Any) -> None:
        """Record an event that happens now."""
        self.add([Event(what=what, request_id=request_id, phase=phase, at=self._clock(), **more)])

    def add(self, events: Iterable[Event]) -> None:
        """Record events as they are."""
        with self._lock:
            for event in events:
                self.events.append(event)
                said = {name: value for name, value in asdict(event).items() if value not in ("", None)}
                self._file.write(json.dumps(said) + "\n")


def success(text: str) -> str:
    """The outcome of a request that was transcribed."""
    return f"SUCCESS:{text}"


def is_success(outcome: str) -> bool:
    """Whether there is a transcript."""
    return outcome.startswith("SUCCESS:")


def heard(outcome: Transcript | TranscriptionError) -> tuple[str, str]:
    """Outcome and batch, as a producer reads them."""
    if isinstance(outcome, TranscriptionError):
        return outcome.code, ""
    return success(outcome.text), outcome.timings.batch_id if outcome.timings else ""


def final_event(what: What, request_id: str, stored: bytes | str, at: float | None = None) -> Event | None:
    """What a stored or told state says; None if it is not final."""
    meta = json.loads(stored)
    result = meta.get("result")
    if meta.get("status") == "SUCCESS":
        receipt = result["timings"]
        text, batch, waited = success(result["text"]), receipt["batch_id"], receipt["queued"]
        return Event(what=what, request_id=request_id, value=text, by=batch, seconds=waited, at=at)
    if meta.get("status") == "REVOKED":
        reasons = result.get("exc_message") or () if isinstance(result, dict) else ()
        code = "EXPIRED" if "expired" in reasons else "CANCELLED"
        return Event(what=what, request_id=request_id, value=code, at=at)
    if meta.get("status") == "FAILURE":
        return Event(what=what, request_id=request_id, value=decode_error(result).code, at=at)
    return None
