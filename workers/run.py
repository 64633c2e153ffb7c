"""One batch on the engine: its members, the order that is sent, the receipts and the line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from batching.batch import Batch
from batching.item import Item
from protocol.errors import TranscriptionError
from protocol.request import Request
from protocol.transcript import Timings
from protocol.wire import decode_error, encode_request
from workers.settle import Outcome

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Work:
    """One request on its way through this worker."""

    message: Any
    """Celery's request, a `workers.strategy.Message`."""
    request: Request
    item: Item
    attempts: int = 0
    deaths_alone: int = 0
    superseded: list[Any] = field(default_factory=list)
    """Earlier deliveries of the same request, to be acknowledged with it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """A batch that the engine has been given."""

    number: int
    batch: Batch
    works: tuple[Work, ...]

    def order(self) -> dict[str, Any]:
        """What the engine process is sent; see `workers.host.Host.run`."""
        return {
            "batch": self.number,
            "requests": [[work.request.request_id, encode_request(work.request)] for work in self.works],
        }

    def accepted_by(self, pid: int) -> None:
        """The engine process has the batch: to Celery and Flower, its tasks have started."""
        now = time.monotonic()
        for work in self.works:
            work.attempts += 1
            work.message.on_accepted(pid, now)

    def outcomes(self, report: dict[str, Any], *, ended_at: float, worker: str) -> list[tuple[Any, Outcome]]:
        """Each member's message with its transcript and receipt, or with its error."""
        return [
            (work.message, self._outcome(position, report, ended_at, worker))
            for position, work in enumerate(self.works)
        ]

    def _outcome(self, position: int, report: dict[str, Any], ended_at: float, worker: str) -> Outcome:
        encoded = report["outcomes"][position]
        if "transcript" not in encoded:
            return decode_error(encoded)
        work = self.works[position]
        timings = Timings(
            queued=self.batch.closed_at - work.item.enqueued_at,
            prepared=report["prepared"],
            engine=report["engine"],
            total=ended_at - work.item.enqueued_at,
            batch_id=f"{worker}/{self.number}",
            batch_size=len(self.works),
            batch_position=position,
            batch_reason=self.batch.reason,
            attempts=work.attempts,
            worker=worker,
        )
        transcript: dict[str, Any] = {**encoded["transcript"], "timings": asdict(timings)}
        return transcript

    def log(self, report: dict[str, Any], outcomes: Sequence[tuple[Any, Outcome]]) -> None:
        """One readable line for the batch, and one more for each request that failed."""
        size = len(self.works)
        log.info(
            "batch %d: %d request%s (%s), %.1f s of audio, waited %.3f s, prepared in %.3f s, engine %.3f s",
            self.number,
            size,
            "" if size == 1 else "s",
            self.batch.reason,
            sum(work.item.cost for work in self.works),
            self.batch.closed_at - min(work.item.enqueued_at for work in self.works),
            report["prepared"],
            report["engine"],
        )
        for message, outcome in outcomes:
            if isinstance(outcome, TranscriptionError):
                log.warning("request %s failed: %s", message.id, outcome)
