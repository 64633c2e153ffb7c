"""What a worker tells Prometheus of its batches: sizes, times, reasons. Never audio, text, or anybody's id.

Every label has few values, all of them ours: a reason of `batching.batch.Reason`, one of three priorities,
one of four terms. So no stranger's request makes a new series. docs/how-to/metrics.md says what to ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from batching.item import Item
from protocol.errors import EngineError
from workers.idleness import Gap
from workers.run import Run

#: Upper ends, in requests: the sizes that a batch may have, doubling.
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

#: Upper ends, in seconds: from what a round trip to Redis takes to what hangs, doubling.
SECONDS = tuple(0.001 * 2**power for power in range(19))

#: Upper ends of what is part of something, such as padding.
PARTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

#: Upper ends of measured to predicted: fine around 1, where a good model is.
RATIOS = (0.25, 0.5, 0.8, 0.9, 0.95, 0.98, 1.02, 1.05, 1.1, 1.25, 2.0, 4.0)

#: Upper ends of the time that was left before a deadline, in seconds; below 0 it was missed by so much.
SLACK = (-60.0, -10.0, -1.0, -0.1, 0.0, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0)

#: What the terms of `batching.latency` belong to, in their order.
TERMS = ("call", "request", "longest_second", "request_longest_second")


class Metrics:
    """The figures of one worker. Written on the event loop, read on the threads of `serve`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def histogram(name: str, what: str, ends: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"segue_{name}", what, labels, buckets=ends, registry=self.registry)

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"segue_{name}", what, labels, registry=self.registry)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"segue_{name}", what, labels, registry=self.registry)

        self._sizes = histogram("batch_size", "Requests in a batch", SIZES)
        self._cost = histogram("batch_cost_seconds", "Seconds of audio in a batch", SECONDS)
        self._padding = histogram("batch_padding_ratio", "Part of a batch that pads to its longest", PARTS)
        self._predicted = histogram("batch_predicted_seconds", "Engine call as it was expected", SECONDS)
        self._seconds = histogram("batch_duration_seconds", "Engine call as it was", SECONDS)
        self._ratio = histogram("batch_prediction_ratio", "Engine call, measured to predicted", RATIOS)
        self._dispatched = counter("batch_dispatch", "Batches by why they were closed", "reason")
        self._holds = histogram("batch_hold_seconds", "Time that waiting work was held for company", SECONDS)
        self._waits = histogram("queue_wait_seconds", "From submit until bound to a batch", SECONDS, "class")
        self._ready = gauge("ready_items", "Requests that this worker holds for a later batch")
        self._held = gauge("held_messages", "Messages that this worker holds, those that run among them")
        self._idle = counter("engine_idle_with_work_seconds", "Engine idle though work might have run")
        self._slack = histogram("deadline_slack_seconds", "Time left to the deadline when it was done", SLACK)
        self._late = counter("late", "Requests that missed their deadline, and what was done", "action")
        self._splits = counter("oom_split", "Batches split because memory did not suffice")
        self._cap = gauge("batch_cap", "Most requests in a batch that memory seems to allow")
        self._free = gauge("memory_free_bytes", "What the next batch could take of the device's memory")
        self._isolated = counter("poison_isolated", "Requests that failed alone so that their batch did not")
        self._ahead = counter("prepared_ahead", "Requests that were ready before their batch began")
        self._terms = gauge("latency_model_seconds", "What the next batch is expected to cost", "term")
        self._rate = gauge("engine_rate", "Requests a second of a busy engine, over the latest batches")

    def serve(self, host: str, port: int) -> int:
        """Answer Prometheus on this address until the process ends; returns the port, which 0 lets choose.

        Raises:
            OSError: the address is not free, or not ours.
        """
        server, _ = start_http_server(port, host, registry=self.registry)
        return int(server.server_port)

    def ran(self, run: Run, report: Mapping[str, Any], *, gap: Gap, ended_at: float) -> None:
        """A batch has run, after this gap, and ended at this time."""
        batch, items = run.batch, [work.item for work in run.works]
        self._sizes.observe(len(items))
        self._cost.observe(sum(item.cost for item in items))
        self._padding.observe(padding(items))
        self._dispatched.labels(batch.reason).inc()
        self._holds.observe(gap.hold)
        self._idle.inc(gap.idle)
        self._observe_times(batch.predicted if run.reached_the_engine(report) else None, report["engine"])
        self._splits.inc(report["out_of_memory_at"] is not None)
        self._isolated.inc(_isolated(report))
        self._ahead.inc(report["ahead"])
        for work, outcome in zip(run.works, report["outcomes"], strict=True):
            if work.attempts == 1:
                waited = max(0.0, batch.closed_at - work.item.enqueued_at)
                self._waits.labels(str(work.request.priority)).observe(waited)
            if work.request.deadline_at is not None and "again" not in outcome:
                self._met(work.request.deadline_at - ended_at)

    def demoted(self) -> None:
        """A request had missed its deadline when it came, and went behind all others."""
        self._late.labels("demoted").inc()

    def holds(self, *, ready: int, running: int) -> None:
        """What the worker has in its hands now."""
        self._ready.set(ready)
        self._held.set(ready + running)

    def knows(self, *, cap: int, rate: float | None, terms: tuple[float, ...] | None, free: int = 0) -> None:
        """What the worker has learnt: the size that fits, its pace, the terms of the latest batch's key.

        `free` is in bytes.
        """
        self._cap.set(cap)
        self._free.set(free)
        self._rate.set(rate or 0.0)
        for name, value in zip(TERMS, terms or (), strict=False):
            self._terms.labels(name).set(value)

    def _observe_times(self, predicted: float | None, engine: float) -> None:
        self._seconds.observe(engine)
        if predicted is not None and predicted > 0:
            self._predicted.observe(predicted)
            self._ratio.observe(engine / predicted)

    def _met(self, slack: float) -> None:
        self._slack.observe(slack)
        if slack < 0:
            self._late.labels("finished").inc()


def padding(items: list[Item]) -> float:
    """Which part of a batch is padding, if each item is padded to the longest: 0 to below 1."""
    padded = len(items) * max((item.cost for item in items), default=0.0)
    return 1 - sum(item.cost for item in items) / padded if padded else 0.0


def _isolated(report: Mapping[str, Any]) -> int:
    """How many members failed by themselves in a batch that was halved to find them."""
    if report["engine_calls"] < 2:
        return 0
    return sum(outcome.get("exc_type") == EngineError.__name__ for outcome in report["outcomes"])
