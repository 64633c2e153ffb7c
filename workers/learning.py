"""What a worker learns of its engine from each batch, and what it tells of it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from batching.batch import Batch
from batching.memory import Memory
from workers.idleness import Idleness
from workers.metrics import Metrics
from workers.pace import Pace
from workers.run import Run
from workers.settings_blocks import Batching
from workers.waiting import Waiting

log = logging.getLogger(__name__)

#: How long a batch takes as long as none has run, in seconds: what a small model does on a processor.
FIRST_SECONDS = 1.0


class Learning:
    """Pace, memory, durations and metrics of one engine. Not thread-safe."""

    def __init__(self, batching: Batching, waiting: Waiting, metrics: Metrics) -> None:
        self._dynamic = batching.dynamic_batching
        self._waiting = waiting
        self._pace = Pace()
        self._idleness = Idleness()
        self.metrics = metrics
        self.batch_seconds = FIRST_SECONDS
        """How long the latest batch kept the engine."""
        self._latest: tuple[int, float, float] | None = None
        """Its size, its longest, and its engine call, in seconds."""

    @property
    def rate(self) -> float | None:
        """Requests a second of a busy engine; None before the first batch."""
        return self._pace.rate

    def expected(self, batch: Batch) -> float | None:
        """How long an engine call will take: as predicted, or as the latest took if it was the same."""
        if batch.predicted is None and self._latest is not None:
            *shape, seconds = self._latest
            return seconds if shape == [len(batch), batch.longest] else None
        return batch.predicted

    def engine_is_free(self, now: float) -> None:
        """An engine has been loaded."""
        self._idleness.free(now)

    def ran(self, run: Run, report: dict[str, Any]) -> None:
        """What the next batch must know: called before it starts, so next to nothing is done here."""
        self.batch_seconds = report["prepared"] + report["engine"]
        if run.reached_the_engine(report):
            self._latest = (len(run.batch), run.batch.longest, report["engine"])
        again = sum("again" in outcome for outcome in report["outcomes"])
        if report["rows"]:
            self._pace.ran(report["rows"] - again, self.batch_seconds)
        if not (self._dynamic and report["rows"]):
            return
        if report["memory"] is not None:
            self._remember(run, report)
        if report["out_of_memory_at"] is None:
            self._waiting.cap.ran_clean(run.batch.key)
        else:
            self._shrink(run, report["out_of_memory_at"])

    def study(self, run: Run, report: dict[str, Any], *, began_at: float, now: float) -> None:
        """What may wait until the engine works again: durations, and all that is told to Prometheus."""
        oldest_at = min(work.item.enqueued_at for work in run.works)
        held_until = run.batch.closed_at if run.was_held else None
        gap = self._idleness.busy(began_at, oldest_at=oldest_at, held_until=held_until)
        self._idleness.free(began_at + report["engine"])
        if report["engine_calls"] == 1 and run.reached_the_engine(report):
            self._waiting.ran(run.batch, report["engine"])
        self.metrics.ran(run, report, gap=gap, ended_at=now)
        terms = self._waiting.terms(run.batch.key)
        cap = self._waiting.cap
        self.metrics.knows(cap=cap.of(run.batch.key), rate=self.rate, terms=terms, free=cap.memory.free or 0)

    def _remember(self, run: Run, report: dict[str, Any]) -> None:
        """What the batch took of the memory, unless it was run in pieces, and what there is now."""
        spent, batch = Memory(**report["memory"]), run.batch
        if report["engine_calls"] != 1 or not run.reached_the_engine(report):
            spent = replace(spent, taken=None)
        self._waiting.cap.memory.ran(batch.key, spent, size=len(batch), longest=batch.longest)

    def _shrink(self, run: Run, failed_size: int) -> None:
        self._waiting.cap.shrink(run.batch.key, failed_size)
        log.warning(
            "batch %d: out of memory at %d requests, batches hold %d from now on",
            run.number,
            failed_size,
            self._waiting.cap.of(run.batch.key),
        )
