"""The engine process: fetches a batch's audio, prepares it, makes one engine call, reports the outcomes.

It owns the model and the device, and nothing else: no Celery, no message, no acknowledgement. It ends
when its parent does, because the connection closes and because the kernel is asked to see to it.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from protocol.errors import TranscriptionError
from protocol.request import Priority, Request
from protocol.transcript import Transcript
from protocol.wire import decode_request, encode_transcript
from workers.engine.base import Again, Engine, Heard, Outcome, Row
from workers.engine.fake import FakeEngine
from workers.engine.isolation import run_isolated
from workers.payloads import Fetched, Payloads
from workers.settings import Settings

log = logging.getLogger("workers.host")

#: `prctl(2)`: have this process killed when the thread that started it ends. Linux only.
PR_SET_PDEATHSIG = 1


def main(descriptor: int) -> None:
    """Serve the parent at the other end of `descriptor` until it goes away."""
    _end_with_parent()
    connection = Connection(descriptor)
    settings = Settings.model_validate_json(json.loads(connection.recv_bytes())["settings"])
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    host = Host(settings)
    try:
        connection.send_bytes(json.dumps(host.load()).encode())
    except TranscriptionError as error:
        connection.send_bytes(json.dumps({"failed": str(error)}).encode())
        return
    batches = _read_ahead(connection)
    while True:
        report = host.run(batches.get())
        connection.send_bytes(json.dumps(report).encode())


class Host:
    """A loaded engine and the way to its audio."""

    def __init__(self, settings: Settings) -> None:
        self._engine = make_engine(settings)
        # Half of what the batch may take: Redis may be away, and the engine must not be killed for that.
        self._payloads = Payloads(settings.redis_url, patience=settings.batch_timeout / 2)

    def load(self) -> dict[str, Any]:
        """Load the weights; the report says what was loaded and how long it took in seconds."""
        started_at = time.monotonic()
        self._engine.load()
        return {"ready": {"model": self._engine.model, "seconds": time.monotonic() - started_at}}

    def run(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Run a batch: ``{"batch": id, "requests": [[request_id, kwargs, progress], …]}`` → an outcome each.

        ``progress`` is what an earlier outcome ``{"again": …}`` said, else None.
        """
        started_at = time.monotonic()
        ordered = batch["requests"]
        requests = [decode_request(name, kwargs, Priority.NORMAL) for name, kwargs, _ in ordered]
        fetched = self._payloads.fetch(requests)
        outcomes, rows = self._prepare(requests, fetched, [progress for *_, progress in ordered])
        prepared_at = time.monotonic()
        report = run_isolated(self._engine, list(rows.values()))
        ended_at = time.monotonic()
        outcomes.update(zip(rows, report.outcomes, strict=True))
        return {
            "batch": batch["batch"],
            "prepared": prepared_at - started_at,
            "engine": ended_at - prepared_at,
            "engine_calls": report.engine_calls,
            "out_of_memory_at": report.out_of_memory_at,
            "outcomes": [
                self._encode(request, outcomes[position], found)
                for position, (request, found) in enumerate(zip(requests, fetched, strict=True))
            ],
        }

    def _prepare(
        self,
        requests: list[Request],
        fetched: list[Fetched | TranscriptionError],
        progress: list[dict[str, Any] | None],
    ) -> tuple[dict[int, Outcome], dict[int, Row]]:
        """By position: the outcome of those that failed already, the rows of the others."""
        failed: dict[int, Outcome] = {}
        rows: dict[int, Row] = {}
        for position, (request, found) in enumerate(zip(requests, fetched, strict=True)):
            if isinstance(found, TranscriptionError):
                failed[position] = found
            else:
                row = self._engine.prepare(found.samples, request.options)
                rows[position] = replace(row, progress=progress[position], context=found.context.text)
        return failed, rows

    def _encode(
        self, request: Request, outcome: Outcome, found: Fetched | TranscriptionError
    ) -> dict[str, Any]:
        if isinstance(outcome, Heard):
            turns = found.context.turns if isinstance(found, Fetched) else 0
            return {"transcript": encode_transcript(self._transcript(request, outcome, turns))}
        if isinstance(outcome, Again):
            return {"again": {"temperature": outcome.temperature, "progress": outcome.progress}}
        return {"exc_type": type(outcome).__name__, "exc_message": [outcome.message, outcome.code]}

    def _transcript(self, request: Request, heard: Heard, turns_before: int) -> Transcript:
        return Transcript(
            request_id=request.request_id,
            text=heard.text,
            language=heard.language,
            language_probability=heard.language_probability,
            duration=request.payload.seconds,
            segments=heard.segments,
            no_speech=heard.no_speech,
            model=self._engine.model,
            warnings=heard.warnings,
            turns_before=turns_before,
        )


def make_engine(settings: Settings) -> Engine:
    """The engine that the operator has chosen, not loaded yet."""
    if settings.engine == "fake":
        cost = settings.fake
        return FakeEngine(
            fixed=cost.fixed_ms / 1000,
            per_row=cost.per_row_ms / 1000,
            per_second=cost.per_audio_second_ms / 1000,
        )
    from workers.engine.faster_whisper import FasterWhisperEngine

    return FasterWhisperEngine(
        settings.model,
        device=settings.device,
        compute_type=settings.compute_type,
        cpu_threads=settings.cpu_threads or os.cpu_count() or 1,
        audio_context=settings.audio_context,
    )


def _end_with_parent() -> None:
    """Leave Ctrl-C and SIGTERM to the parent, and never outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _read_ahead(connection: Connection) -> SimpleQueue[dict[str, Any]]:
    """Read batches on a thread of its own, so that a closed connection is noticed during an engine call."""
    batches: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def read() -> None:
        while True:
            try:
                batches.put(json.loads(connection.recv_bytes()))
            except (EOFError, OSError):
                os._exit(0)

    threading.Thread(target=read, name="read-ahead", daemon=True).start()
    return batches


if __name__ == "__main__":
    main(int(sys.argv[1]))
