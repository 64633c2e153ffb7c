"""An engine without a model: answers are fingerprints, costs are scripted, faults come on demand.

The text of a row is the `fingerprint` of its samples or text, so that a result given to the wrong request is
noticed. The time of a call is ``fixed + per_row * rows + per_second * seconds of audio +
per_longest * seconds of the longest``, really spent.

A row whose `initial_prompt` is one of these scripts a fault, or a look at what it was given:

| prompt | what happens |
|---|---|
| ``fail`` | every call with this row raises `RuntimeError` |
| ``fail N times`` | the first N calls with this row raise a retryable `EngineError` |
| ``refuse`` | this row's outcome is a `RequestError` |
| ``out of memory above N`` | a call with this row and more than N rows raises `OutOfMemory` |
| ``crash`` | the process dies of a segmentation fault |
| ``hang`` | the call never returns |
| ``again N times`` | this row is to be heard `Again`, at the next temperature, N times |
| ``echo the context`` | the text is the fingerprint, a colon, and the row's context |
| ``echo the model`` | the text is the fingerprint, a colon, and the name of the model |

And so does the name of the model, if it is one of these:

| model | what happens |
|---|---|
| ``missing`` | it cannot be loaded |
| ``loads N ms`` | loading it takes so long |
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from protocol.errors import EngineError, EngineLost, OutOfMemory, RequestError
from protocol.options import Options
from protocol.transcript import Segment
from workers.engine.base import Again, Engine, Given, Heard, Outcome, Row, Samples

#: Enough of a SHA-256 that no two test files share it, and short enough to read in a log.
FINGERPRINT_DIGITS = 16

_FAIL_TIMES = re.compile(r"fail (\d+) times")
_AGAIN = re.compile(r"again (\d+) times")
_LOADS = re.compile(r"loads (\d+) ms")
_OUT_OF_MEMORY = re.compile(r"out of memory above (\d+)")


def fingerprint(given: Given) -> str:
    """The first 16 hex digits of the SHA-256 of samples as 16-bit little-endian PCM, or of text as UTF-8."""
    if isinstance(given, str):
        content = given.encode()
    else:
        content = np.clip(np.rint(given * 32768.0), -32768, 32767).astype("<i2").tobytes()
    return hashlib.sha256(content).hexdigest()[:FINGERPRINT_DIGITS]


class FakeEngine(Engine):
    """The seam, with no model behind it; see the head of this module."""

    takes = ("audio", "text")

    def __init__(
        self,
        model: str = "",
        *,
        fixed: float = 0.0,
        per_row: float = 0.0,
        per_second: float = 0.0,
        per_longest: float = 0.0,
        prepare: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Costs are in seconds: of a call, of each row, of each second of audio, of each second of the
        longest, to which a real engine pads the others, and of preparing a row.

        `sleep` spends them.
        """
        self.model = f"fake {model}".rstrip()
        self._script = model
        self._sleep = sleep
        self._fixed = fixed
        self._per_row = per_row
        self._per_second = per_second
        self._per_longest = per_longest
        self._prepare = prepare
        self._failures: Counter[str] = Counter()

    def load(self) -> None:
        """Nothing to load, but as the name scripts it.

        Raises:
            EngineError: `MODEL_UNAVAILABLE`.
        """
        if self._script == "missing":
            raise EngineError(f"model {self.model!r} cannot be loaded, as scripted", "MODEL_UNAVAILABLE")
        self._sleep((_number(_LOADS, self._script) or 0) / 1000)

    def prepare(self, samples: Samples, options: Options) -> Row:
        """The row as it is, after its cost; there are no features."""
        if self._prepare:
            self._sleep(self._prepare)
        return Row(samples=samples, options=options)

    def prepare_text(self, text: str, options: Options) -> Row:
        """Likewise."""
        if self._prepare:
            self._sleep(self._prepare)
        return Row(text=text, options=options)

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        """One outcome for each row, in order, after the scripted cost.

        Raises:
            OutOfMemory, EngineLost, RuntimeError: a row's script asks for it.
        """
        for row in rows:
            self._act_out(row, len(rows))
        if cost := self.cost(rows):  # even no sleep at all gives the processor away
            self._sleep(cost)
        return [_outcome(row, self.model) for row in rows]

    def cost(self, rows: Sequence[Row]) -> float:
        """How long a call with these rows takes, in seconds; an empty one takes no time."""
        if not rows:
            return 0.0
        seconds = [row.seconds for row in rows]
        by_length = self._per_second * sum(seconds) + self._per_longest * max(seconds)
        return self._fixed + self._per_row * len(rows) + by_length

    def _act_out(self, row: Row, n_rows: int) -> None:
        script = row.options.initial_prompt or ""
        if script == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if script == "hang":
            threading.Event().wait()
        if script == "fail":
            raise RuntimeError("scripted failure")
        if (most := _number(_OUT_OF_MEMORY, script)) is not None and n_rows > most:
            raise OutOfMemory(f"{n_rows} rows do not fit, {most} would")
        if (times := _number(_FAIL_TIMES, script)) is not None:
            self._fail_at_first(row, times)

    def _fail_at_first(self, row: Row, times: int) -> None:
        name = fingerprint(row.given)
        self._failures[name] += 1
        if self._failures[name] <= times:
            # The one `EngineError` that says "again may help".
            raise EngineLost(f"scripted failure {self._failures[name]} of {times}")


def _number(pattern: re.Pattern[str], script: str) -> int | None:
    match = pattern.fullmatch(script)
    return int(match[1]) if match else None


def _outcome(row: Row, model: str) -> Outcome:
    if row.options.initial_prompt == "refuse":
        return RequestError("scripted refusal")
    failures = row.progress["failures"] if row.progress is not None else 0
    if failures < (_number(_AGAIN, row.options.initial_prompt or "") or 0):
        return Again(temperature=row.options.temperatures[failures + 1], progress={"failures": failures + 1})
    text = fingerprint(row.given)
    if row.options.initial_prompt == "echo the context":
        text += f":{row.context}"
    if row.options.initial_prompt == "echo the model":
        text += f":{model}"
    return Heard(
        text=text,
        language=row.options.language or "en",
        language_probability=1.0,
        segments=(
            Segment(
                id=1, start=0.0, end=row.seconds, text=text, temperature=row.options.temperatures[failures]
            ),
        ),
    )
