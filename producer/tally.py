"""The receipts of a recording's parts → one for the whole of it, without keeping them.

Pure, and the same in whichever order the parts end. Of the receipts that were added:

* `submitted_at` is the first one's, `total` goes from there until the last part ended;
* `queued` and `batch_wait` are those of the part that was submitted first: how long nothing happened;
* `prepared`, `engine` and `predicted` are those of all batches together, one that several parts shared
  counted once. Where workers work side by side that is more than `total`;
* `attempts` is the most that a part needed;
* `parts`, `batches` and `workers` count them;
* `batch_id`, `batch_size`, `batch_position`, `batch_reason` and `worker` are what all parts have in common;
  where they differ, empty and 0.

A part that failed has no receipt.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum
from typing import Any

from protocol.transcript import Timings

#: The receipt of a recording that has no parts, since nobody speaks in it: no worker has heard of it.
NOBODY_ASKED = Timings(
    queued=0.0,
    prepared=0.0,
    engine=0.0,
    total=0.0,
    batch_id="",
    batch_size=0,
    batch_position=0,
    batch_reason="",
    attempts=0,
    worker="",
    parts=0,
    batches=0,
    workers=0,
)

_IN_COMMON = ("batch_id", "batch_size", "batch_position", "batch_reason", "worker")

_Batch = tuple[str, float, float, float | None]
"""Its id, `prepared`, `engine`, `predicted`. Its id alone is not enough: a worker that is started again
counts its batches from 1. A part that was heard again at other temperatures says the sum of its batches, and
counts as one of its own if those beside it have another."""


class Tally:
    """What receipts add up to. Grows with the batches, by some 200 bytes each."""

    def __init__(self) -> None:
        self._parts = 0
        self._batches: set[_Batch] = set()
        self._workers: set[str] = set()
        self._first: Timings | None = None
        self._common: dict[str, Any] = {}
        self._longest = 0.0
        self._ended_at = float("-inf")
        self._attempts = 0

    def add(self, receipt: Timings) -> None:
        """Count one more part."""
        self._parts += 1
        self._batches.add((receipt.batch_id, receipt.prepared, receipt.engine, receipt.predicted))
        self._workers.add(receipt.worker)
        self._attempts = max(self._attempts, receipt.attempts)
        self._longest = max(self._longest, receipt.total)
        if receipt.submitted_at is not None:
            self._ended_at = max(self._ended_at, receipt.submitted_at + receipt.total)
        if self._first is None:
            self._first = receipt
            self._common = {name: getattr(receipt, name) for name in _IN_COMMON}
            return
        self._first = min(self._first, receipt, key=_age)
        for name, value in self._common.items():
            if getattr(receipt, name) != value:
                self._common[name] = type(value)()

    def whole(self) -> Timings | None:
        """The receipt of all that was added; None before anything was."""
        first = self._first
        if first is None:
            return None
        begun_at = first.submitted_at
        return Timings(
            queued=first.queued,
            prepared=fsum(prepared for _, prepared, _, _ in self._batches),
            engine=fsum(engine for _, _, engine, _ in self._batches),
            total=self._longest if begun_at is None else max(self._longest, self._ended_at - begun_at),
            attempts=self._attempts,
            predicted=_sum(predicted for _, _, _, predicted in self._batches),
            batch_wait=first.batch_wait,
            submitted_at=begun_at,
            parts=self._parts,
            batches=len(self._batches),
            workers=len(self._workers),
            **self._common,
        )


def _age(receipt: Timings) -> tuple[float, float]:
    """Sorts the one that was submitted first to the front; those that do not say when, to the end."""
    at = receipt.submitted_at
    return (float("inf") if at is None else at, receipt.queued)


def _sum(values: Iterable[float | None]) -> float | None:
    """All together; None if one of them is not known."""
    known = list(values)
    return None if None in known else fsum(value for value in known if value is not None)
