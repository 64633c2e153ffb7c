"""One batch on the engine: its members, the order that is sent, the receipts and the line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batching.batch import Batch
from batching.item import Item
from protocol.errors import TranscriptionError
from protocol.request import Request
from protocol.routing import deaths_key
from protocol.transcript import Timings
from protocol.wire import decode_error, encode_request, encode_timings
from workers.outcome import Encoded, Outcome

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
    again: dict[str, Any] | None = None
    """Why it is not done: the engine wants to hear it at another ``temperature``, with its ``progress``."""
    received_at: float | None = None
    """When this worker got it, on the clock of `Item.enqueued_at`."""
    prepared: float = 0.0
    """Seconds spent preparing its earlier batches, and in their engine calls."""
    engine: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """A batch that the engine has been given."""

    number: int
    batch: Batch
    works: tuple[Work, ...]
    was_held: bool = False
    """Whether a free engine was made to wait until it was closed."""

    @property
    def superseded(self) -> list[Any]:
        """Earlier deliveries of its requests, as far as these are done."""
        return [message for work in self._done for message in work.superseded]

    @property
    def suspicions(self) -> list[str]:
        """The counts of deaths in Redis that say something of its requests."""
        return [deaths_key(work.request.request_id) for work in self._done if work.item.alone]

    @property
    def _done(self) -> list[Work]:
        """Members that wait for no other batch, once `take_back` was called."""
        return [work for work in self.works if work.again is None]

    @property
    def described(self) -> str:
        """Its size, why it was closed, and how much sound or text is in it."""
        size, payloads = len(self.works), [work.request.payload for work in self.works]
        seconds = sum(one.seconds for one in payloads if one.medium == "audio")
        characters = sum(one.length for one in payloads if one.medium == "text")
        held = [f"{seconds:.1f} s of audio"] if seconds else []
        held += [f"{characters} characters"] if characters else []
        return f"{size} request{'' if size == 1 else 's'} ({self.batch.reason}), {', '.join(held)}"

    def reached_the_engine(self, report: Mapping[str, Any]) -> bool:
        """Whether all of it did: for some there may have been no audio, or no engine that takes any."""
        return bool(report["rows"] == len(self.works))

    @property
    def _predicted(self) -> str:
        seconds = self.batch.predicted
        return "" if seconds is None else f" ({seconds:.3f} s predicted)"

    def name_on(self, worker: str) -> str:
        """What it is called in receipts and events."""
        return f"{worker}/{self.number}"

    def order(self) -> dict[str, Any]:
        """What the engine process is sent; see `workers.host.Host.run`."""
        return {
            "batch": self.number,
            "requests": [
                [work.request.request_id, encode_request(work.request), work.again and work.again["progress"]]
                for work in self.works
            ],
        }

    def failed(self, error: TranscriptionError) -> list[tuple[Any, Outcome]]:
        """Every member with `error`: they end here, whatever an earlier batch of theirs left open."""
        for work in self.works:
            work.again = None
        return [(work.message, error) for work in self.works]

    def accepted_by(self, pid: int) -> None:
        """The engine process has the batch: to Celery and Flower, its tasks have started."""
        now = time.monotonic()
        for work in self.works:
            work.attempts += 1
            work.message.on_accepted(pid, now)

    def outcomes(self, report: dict[str, Any], *, ended_at: float, worker: str) -> list[tuple[Any, Outcome]]:
        """The message of each member that is done, with its transcript and receipt, or with its error."""
        return [
            (work.message, self._outcome(position, report, ended_at, worker))
            for position, work in enumerate(self.works)
            if "again" not in report["outcomes"][position]
        ]

    def take_back(self, report: dict[str, Any]) -> list[Work]:
        """The members that the engine wants to hear again, with what it knows of them so far."""
        for work, encoded in zip(self.works, report["outcomes"], strict=True):
            work.again = encoded.get("again")
            if work.again is not None:
                work.prepared += report["prepared"]
                work.engine += report["engine"]
        return [work for work in self.works if work.again is not None]

    def _outcome(self, position: int, report: dict[str, Any], ended_at: float, worker: str) -> Outcome:
        encoded = report["outcomes"][position]
        if "transcript" not in encoded:
            return decode_error(encoded)
        work = self.works[position]
        timings = Timings(
            queued=self.batch.closed_at - work.item.enqueued_at - work.prepared - work.engine,
            prepared=work.prepared + report["prepared"],
            engine=work.engine + report["engine"],
            total=ended_at - work.item.enqueued_at,
            batch_id=self.name_on(worker),
            batch_size=len(self.works),
            batch_position=position,
            batch_reason=self.batch.reason,
            attempts=work.attempts,
            worker=worker,
            predicted=self.batch.predicted,
            batch_wait=self._batch_wait(work),
            submitted_at=work.item.enqueued_at,
        )
        return Encoded({**encoded["transcript"], "timings": encode_timings(timings)})

    def _batch_wait(self, work: Work) -> float | None:
        if work.received_at is None:
            return None
        return max(0.0, self.batch.closed_at - work.received_at - work.prepared - work.engine)

    def log(self, report: dict[str, Any], outcomes: Sequence[tuple[Any, Outcome]]) -> None:
        """One readable line for the batch, and one more for each request that failed."""
        log.info(
            "batch %d: %s, waited %.3f s, prepared in %.3f s, engine %.3f s%s%s%s",
            self.number,
            self.described,
            self.batch.closed_at - min(work.item.enqueued_at for work in self.works),
            report["prepared"],
            report["engine"],
            self._predicted,
            f" with {report['model']}" if report["model"] else "",
            f", {again} again at another temperature" if (again := len(self.works) - len(outcomes)) else "",
        )
        for message, outcome in outcomes:
            if isinstance(outcome, TranscriptionError):
                log.warning("request %s failed: %s", message.id, outcome)
