"""The engine process: fetches a batch's audio, prepares it, makes one engine call, reports the outcomes.

What will probably run next is prepared while the engine runs, on a thread beside it (`prepared`).

It owns the model and the device, and nothing else: no Celery, no message, no acknowledgement. It ends
when its parent does, because the connection closes and because the kernel is asked to see to it.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from typing import Any

from protocol.errors import EngineError, RequestError, TranscriptionError
from protocol.fast_json import dumps, loads
from protocol.request import Priority, Request
from protocol.wire import decode_request
from workers.engine.base import Engine, Outcome, Row, prepared
from workers.engine.isolation import run_isolated
from workers.engine.models import Models, Tell
from workers.engine.spent import Spent
from workers.one_line import one_line
from workers.payloads import NOTHING_BEFORE, Fetched, Payloads
from workers.prepared import Order, Prepared
from workers.reports import all_failed, encode_outcome
from workers.settings import Settings

log = logging.getLogger("workers.host")

#: `prctl(2)`: have this process killed when the thread that started it ends. Linux only.
PR_SET_PDEATHSIG = 1


def main(descriptor: int) -> None:
    """Serve the parent at the other end of `descriptor` until it goes away."""
    _end_with_parent()
    connection = Connection(descriptor)
    settings = Settings.model_validate_json(loads(connection.recv_bytes())["settings"])
    _log_to_stderr(settings.log_level)
    host = Host(settings, tell=lambda news: connection.send_bytes(dumps(news)))
    try:
        ready = host.load()
        gc.freeze()  # what is there now stays: nobody needs to look for garbage in it
        connection.send_bytes(dumps(ready))
    except TranscriptionError as error:
        connection.send_bytes(dumps({"failed": str(error)}))
        return
    batches = _read_ahead(connection, host)
    while True:
        try:
            batch = batches.get(timeout=host.idle_in())
        except Empty:
            host.unload_idle()
            continue
        connection.send_bytes(dumps(host.run(batch)))


class Host:
    """The loaded engines and the way to their audio."""

    def __init__(self, settings: Settings, tell: Tell = lambda _: None) -> None:
        """`tell` passes on what `Models` has to say to the parent while it waits for a report."""
        self._models = Models.of(settings, tell)
        self.idle_in = self._models.idle_in
        self.unload_idle = self._models.unload_idle
        # Half of what the batch may take: Redis may be away, and the engine must not be killed for that.
        self._payloads = Payloads(settings.redis_url, patience=settings.batch_timeout / 2)
        # What is ahead has time, and is asked for again when its batch runs.
        self._payloads_ahead = Payloads(settings.redis_url, patience=0.0)
        self._spent = Spent()
        self._prepared = Prepared(self._prepare_ahead)
        self.expect = self._prepared.expect

    def load(self) -> dict[str, Any]:
        """Load the default model; the report says what was loaded and how long it took in seconds."""
        started_at = time.monotonic()
        engine = self._models.load()
        self._prepared.start()
        return {"ready": {"model": engine.model, "seconds": time.monotonic() - started_at}}

    def bind(self, batch: dict[str, Any]) -> None:
        """This batch runs next, whatever is expected after it; called when its order is read."""
        self._prepared.bind(_orders(batch))

    def run(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Run a batch: ``{"batch": id, "requests": [[request_id, kwargs, progress], …]}`` → an outcome each.

        ``progress`` is what an earlier outcome ``{"again": …}`` said, else None. All ask for one model.
        """
        started_at = time.monotonic()
        ordered = batch["requests"]
        requests = [decode_request(name, kwargs, Priority.NORMAL) for name, kwargs, _ in ordered]
        try:
            with self._models.use(requests[0].options.model_pref) as engine:
                return self._run(engine, batch, requests, started_at)
        except EngineError as error:  # of `use`: the model could not be loaded
            return all_failed(batch, error, time.monotonic() - started_at)

    def _run(
        self, engine: Engine, batch: dict[str, Any], requests: list[Request], started_at: float
    ) -> dict[str, Any]:
        ready = self._prepared.take(_orders(batch))
        fetched = self._payloads.fetch(requests, [row.given if row is not None else None for row in ready])
        outcomes, rows = _rows(engine, requests, fetched, ready)
        for position, (_, _, progress) in enumerate(batch["requests"]):
            if progress is not None and position in rows:
                rows[position] = replace(rows[position], progress=progress)
        prepared_at = time.monotonic()
        self._spent.begin()
        report = run_isolated(engine, list(rows.values()))
        ended_at = time.monotonic()
        outcomes.update(zip(rows, report.outcomes, strict=True))
        return {
            "batch": batch["batch"],
            "model": engine.model,
            "ahead": sum(row is not None for row in ready),
            "began_at": prepared_at,
            "prepared": prepared_at - started_at,
            "engine": ended_at - prepared_at,
            "engine_calls": report.engine_calls,
            # Those that their engine could not prepare never reach it.
            "rows": sum(not isinstance(row.features, TranscriptionError) for row in rows.values()),
            "out_of_memory_at": report.out_of_memory_at,
            "memory": self._spent.end(),
            "outcomes": [
                encode_outcome(request, outcomes[position], turns_before=_turns(found), model=engine.model)
                for position, (request, found) in enumerate(zip(requests, fetched, strict=True))
            ],
        }

    def _prepare_ahead(
        self, orders: Sequence[Order], begin: Callable[[Order], bool], end: Callable[[Order, Row], None]
    ) -> None:
        """As `prepared.Prepare`. Of a model that is not loaded nothing is: its batch loads it."""
        requests = [decode_request(name, kwargs, Priority.NORMAL) for name, kwargs in orders]
        fetched = self._payloads_ahead.fetch(requests)
        for order, request, found in zip(orders, requests, fetched, strict=True):
            engine = self._models.loaded(request.options.model_pref)
            if engine is None or isinstance(found, TranscriptionError) or _refusal(engine, request):
                continue
            if begin(order):
                end(order, prepared(engine, found.given, request.options))


def _rows(
    engine: Engine,
    requests: Sequence[Request],
    fetched: Sequence[Fetched | TranscriptionError],
    ready: Sequence[Row | None],
) -> tuple[dict[int, Outcome], dict[int, Row]]:
    """By position: the outcome of those that failed already, the rows of the others."""
    failed: dict[int, Outcome] = {}
    there: dict[int, Fetched] = {}
    for position, (request, found) in enumerate(zip(requests, fetched, strict=True)):
        if isinstance(found, TranscriptionError):
            failed[position] = found
        elif refused := _refusal(engine, request):
            failed[position] = refused
        else:
            there[position] = found
    rows = {position: row for position in there if (row := ready[position]) is not None}
    missing = [position for position in there if position not in rows]
    made = engine.prepare_all([(there[position].given, requests[position].options) for position in missing])
    rows.update(zip(missing, made, strict=True))
    for position, found in there.items():
        if said_before := found.context.text:
            rows[position] = replace(rows[position], context=said_before)
    return failed, rows


def _refusal(engine: Engine, request: Request) -> RequestError | None:
    """Why `engine` cannot do it, whatever it brings: it is no audio, or no text."""
    if request.payload.medium in engine.takes:
        return None
    taken = " or ".join(engine.takes)
    return RequestError(
        f"model {engine.model!r} takes {taken}, this is {request.payload.medium}", "UNSUPPORTED_INPUT"
    )


def _turns(found: Fetched | TranscriptionError) -> int:
    return (found.context if isinstance(found, Fetched) else NOTHING_BEFORE).turns


def _orders(batch: dict[str, Any]) -> list[Order]:
    return [(name, kwargs) for name, kwargs, _ in batch["requests"]]


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler()
    handler.addFilter(one_line)
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", handlers=[handler]
    )


def _end_with_parent() -> None:
    """Leave Ctrl-C and SIGTERM to the parent, and never outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _read_ahead(connection: Connection, host: Host) -> SimpleQueue[dict[str, Any]]:
    """Read on a thread of its own, so that a closed connection is noticed during an engine call.

    Returns where the batches go; what is expected after them goes to `host` at once.
    """
    batches: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def read() -> None:
        while True:
            try:
                message = loads(connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(0)
            if "ahead" in message:
                host.expect([(name, kwargs) for name, kwargs in message["ahead"]])
            else:
                host.bind(message)
                batches.put(message)

    threading.Thread(target=read, name="read-ahead", daemon=True).start()
    return batches


if __name__ == "__main__":
    main(int(sys.argv[1]))
