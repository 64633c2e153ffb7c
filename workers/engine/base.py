"""The seam between a batch and what transcribes it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from protocol.errors import TranscriptionError
from protocol.options import Options
from protocol.transcript import Segment

Samples = NDArray[np.float32]
"""float32 mono PCM, 16 kHz, −1..1, shape ``[n_samples]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One audio segment, prepared for a batch."""

    samples: Samples = field(repr=False)
    options: Options = field(repr=False)
    features: Any = field(default=None, repr=False)
    """Whatever the engine's `prepare` made of the samples ahead of the call."""

    @property
    def seconds(self) -> float:
        """Length of the audio segment in seconds."""
        return len(self.samples) / 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the engine heard in one row."""

    text: str = field(repr=False)
    language: str
    language_probability: float
    segments: tuple[Segment, ...] = field(default=(), repr=False)
    no_speech: bool = False
    warnings: tuple[str, ...] = ()


Outcome = Heard | TranscriptionError


class Engine(Protocol):
    """What turns a batch into outcomes. Used from one thread of one process.

    The same contract tests (`tests/workers/test_engine_contract.py`) hold for every engine.
    """

    model: str
    """Name of the model, as it stands on transcripts."""

    def load(self) -> None:
        """Load the weights and run once, so that the first batch is as fast as the others."""
        ...

    def prepare(self, samples: Samples, options: Options) -> Row:
        """Do for one audio segment whatever does not need the rest of its batch."""
        ...

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        """One outcome for each row, in order; all rows share one `compatibility_key`.

        Raises:
            OutOfMemory: the device could not hold this batch; a smaller one may fit.
            Exception: anything else; the caller finds the guilty row by bisection.
        """
        ...


def compatibility_key(options: Options) -> Hashable:
    """What requests must share to share a batch.

    CTranslate2's `Whisper.generate` takes one prompt a row, so language, task and prompts may differ;
    everything else below is one value for the whole call. No-speech gate and log-probability
    threshold are applied per row afterwards.
    """
    return (
        options.beam_size,
        options.patience,
        options.length_penalty,
        options.repetition_penalty,
        options.no_repeat_ngram_size,
        options.suppress_blank,
        options.without_timestamps,
        options.max_initial_timestamp,
        options.max_new_tokens,
    )
