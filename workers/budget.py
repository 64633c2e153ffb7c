"""How long the engine may take, for a batch and for loading the model it asks for: then its process ends."""

from __future__ import annotations

import logging
from typing import Any

from workers.engine_process import EngineProcess
from workers.later import CallLater, cancel
from workers.settings import Settings

log = logging.getLogger(__name__)


class Budget:
    """What is left of the time of the batch that runs. For the worker's event loop."""

    def __init__(self, settings: Settings, call_later: CallLater) -> None:
        self._batch_timeout = settings.batch_timeout
        self._load_timeout = settings.load_timeout
        self._call_later = call_later
        self._engine: EngineProcess | None = None
        self._number = 0
        self._alarm: Any = None
        self.loading: str | None = None
        """The model that the batch waits for; None if it is there."""

    def begin(self, engine: EngineProcess, number: int) -> None:
        """`engine` has been given batch `number`."""
        self._engine, self._number = engine, number
        self._allow(self._batch_timeout)

    def load(self, model: str) -> None:
        """Its model has to be loaded first, which has a budget of its own."""
        log.info("model %s is loaded now", model)
        self.loading = model
        self._allow(self._load_timeout)

    def loaded(self, model: str, seconds: float) -> None:
        """The model is there after `seconds`, and the batch begins."""
        log.info("model %s loaded in %.1f s", model, seconds)
        self.loading = None
        self._allow(self._batch_timeout)

    def end(self) -> None:
        """The batch is over, however it ended."""
        cancel(self._alarm)
        self._engine, self.loading = None, None

    def _allow(self, seconds: float) -> None:
        """Let what runs take `seconds` from now on."""
        cancel(self._alarm)
        if self._engine is not None:
            self._alarm = self._call_later(seconds, self._run_out, self._number, seconds)

    def _run_out(self, number: int, seconds: float) -> None:
        """By its number: the timer remembers its arguments until its time, even if it is cancelled."""
        if self._engine is None or number != self._number or self._engine.has_report():
            return
        what = f"loading model {self.loading}" if self.loading else "running"
        log.error("batch %d is still %s after %.0f s", number, what, seconds)
        self._engine.kill()
