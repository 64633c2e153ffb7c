"""A batch as a task of its own, for those who watch: in Flower it is a row beside those of its requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.errors import TranscriptionError
from workers.outcome import Outcome
from workers.run import Run

#: What Flower shows as the name of the task; nobody can send one.
NAME = "segue.batch"


class BatchEvents:
    """Tells of batches by Celery's events; of none as long as events are off."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._eventer: Any = None

    def use(self, eventer: Any) -> None:
        """Send by Celery's dispatcher of events `eventer`, which is another one after each reconnect."""
        self._eventer = eventer

    def started(self, run: Run) -> None:
        """The engine has been given the batch: its size and reason, never what is in it."""
        self._send("task-received", run, name=NAME, args=run.described, kwargs="", retries=0)
        self._send("task-started", run)

    def ended(self, run: Run, report: dict[str, Any], outcomes: Sequence[tuple[Any, Outcome]]) -> None:
        """The engine has run it, whatever became of each request."""
        failed = sum(isinstance(outcome, TranscriptionError) for _, outcome in outcomes)
        again = len(run.works) - len(outcomes)
        said = [f"{len(outcomes) - failed} done"]
        said += [f"{failed} failed"] if failed else []
        said += [f"{again} again at another temperature"] if again else []
        self._send("task-succeeded", run, result=", ".join(said), runtime=report["engine"])

    def failed(self, run: Run, how: str) -> None:
        """It came to nothing: the engine died, or whoever stops the worker would not wait."""
        self._send("task-failed", run, exception=how, traceback="")

    def _send(self, kind: str, run: Run, **fields: Any) -> None:
        if self._eventer is not None and self._eventer.enabled:
            self._eventer.send(kind, uuid=run.name_on(self._worker), **fields)
