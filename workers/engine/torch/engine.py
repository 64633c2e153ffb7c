"""The torch engine: the rounds of the faster-whisper engine, over a network of our own.

What differs is what a call may hold. Prompts of any length share one, for shorter ones are padded and the
padding is never attended to (`hearing`); so only rows whose windows are encoded at different lengths, or that
are heard at different temperatures, take turns.

And a GPU makes the features too: those of all rows at the head of the call, so that no thread beside it uses
the device while a step is recorded. Samples go there instead of windows of 30 s.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor

from protocol.errors import OutOfMemory
from protocol.options import Options
from workers.engine.base import Outcome, Row, Samples
from workers.engine.context import Wish, padded_windows
from workers.engine.faster_whisper import (
    FasterWhisperEngine,
    groups_of_one_shape,
    longest,
    memory_errors_renamed,
)
from workers.engine.listener import Listener
from workers.engine.torch.features import TorchLogMel
from workers.engine.torch.loading import chosen_device, load_whisper


class TorchWhisperEngine(FasterWhisperEngine):
    """The seam over `TorchWhisper`; `load` comes before all else."""

    _load_model = staticmethod(load_whisper)
    _chosen_device = staticmethod(chosen_device)

    def __init__(
        self,
        model: str = "demo",
        *,
        device: str = "auto",
        compute_type: str = "auto",
        cpu_threads: int = 0,
        audio_context: Wish = "auto",
        graphs: bool = True,
        features_there: bool | None = None,
    ) -> None:
        """The arguments are those of `load_whisper` and `chosen_context`; nothing is loaded yet.

        `features_there` says whether the device makes the features; None: if it is a GPU.
        """
        super().__init__(
            model,
            device=device,
            compute_type=compute_type,
            cpu_threads=cpu_threads,
            audio_context=audio_context,
        )
        self._load = partial(self._load, graphs=graphs)
        self._features_there = features_there
        self._log_mels: TorchLogMel | None = None

    def _features_of(self, extractor: FeatureExtractor) -> Callable[[Samples], Any]:
        device = self._whisper.model.network.device
        is_there = device.startswith("cuda") if self._features_there is None else self._features_there
        self._log_mels = TorchLogMel(extractor, device) if is_there else None
        return np.asarray if is_there else super()._features_of(extractor)

    def _run(self, rows: Sequence[Row]) -> list[Outcome]:
        """Twice if recorded steps of other shapes took the memory that this call lacked."""
        try:
            return self._run_once(rows)
        except OutOfMemory:
            if not self._whisper.model.holds_steps:
                raise
        self._whisper.model.forget_steps()  # only here: the error holds on to what the failed call had
        return self._run_once(rows)

    def _run_once(self, rows: Sequence[Row]) -> list[Outcome]:
        return super()._run(rows if self._log_mels is None else self._with_features(rows, self._log_mels))

    def _with_features(self, rows: Sequence[Row], log_mels: TorchLogMel) -> list[Row]:
        """`rows`, with features where `prepare` left samples; what holds no speech has none to make."""
        heard = [row for row in rows if row.features.ndim == 1]
        with memory_errors_renamed(len(heard)):
            made = iter(log_mels([row.features for row in heard]))
        return [replace(row, features=next(made)) if row.features.ndim == 1 else row for row in rows]

    def _windows(self, group: Sequence[Listener]) -> Any:
        if self._log_mels is None:
            return super()._windows(group)
        zeros = partial(torch.zeros, device=self._whisper.model.network.device)
        return padded_windows([listener.window() for listener in group], group[0].window_length, zeros)

    def _groups(self, listeners: Sequence[Listener]) -> list[list[Listener]]:
        return groups_of_one_shape(listeners, _shape)

    def _longest(self, prompts: Sequence[Sequence[int]], options: Options) -> list[int]:
        """A value for each row: the text of one must not end sooner because another's prompt is longer."""
        return [longest(prompt, options, self._whisper.max_length) for prompt in prompts]


def _shape(listener: Listener) -> Hashable:
    return listener.temperature, listener.window_length
