"""The seam between a batch and what transcribes it, or does whatever else its model is for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from protocol.errors import TranscriptionError
from protocol.options import Options
from protocol.request import Medium
from protocol.transcript import Segment

Samples = NDArray[np.float32]
"""float32 mono PCM, 16 kHz, −1..1, shape ``[n_samples]``."""

Given = Samples | str
"""What a request brings: an audio segment, or text."""

Asked = tuple[Given, Options]
"""What a request brings, and what is asked of it."""

NO_SAMPLES: Samples = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One audio segment, or text, prepared for a batch."""

    samples: Samples = field(default_factory=lambda: NO_SAMPLES, repr=False)
    text: str | None = field(default=None, repr=False)
    """Instead of samples, of which there are none then."""
    options: Options = field(repr=False)
    features: Any = field(default=None, repr=False)
    """Whatever the engine's `prepare` made of the samples ahead of the call."""
    stretches: tuple[tuple[int, int], ...] | None = None
    """First and last sample of what is heard, if silence was cut out; None if all of it is."""
    progress: Mapping[str, Any] | None = field(default=None, repr=False)
    """What an earlier call answered with `Again`; None at the first."""
    context: str = field(default="", repr=False)
    """What was said before this audio segment: previous text, as the rest of a long one has it."""

    @property
    def given(self) -> Given:
        """What its request brought."""
        return self.samples if self.text is None else self.text

    @property
    def seconds(self) -> float:
        """Length of the audio segment in seconds."""
        return len(self.samples) / 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the engine heard in one row, or made of it."""

    text: str = field(repr=False)
    language: str = ""
    language_probability: float = 0.0
    segments: tuple[Segment, ...] = field(default=(), repr=False)
    no_speech: bool = False
    warnings: tuple[str, ...] = ()
    data: Mapping[str, Any] | None = field(default=None, repr=False)
    """Whatever else there is to say of it, such as an embedding: JSON-able."""
    audio: bytes | None = field(default=None, repr=False)
    """A sound file (`workers.engine.sound`), if that is what it made of a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A row that is not done: what was heard is not good enough, and is to be heard again.

    Its neighbours are, so it does not hold them up: the worker lets it wait for a batch of rows at the same
    `temperature`, prepares it anew and passes `progress` on as `Row.progress`.
    """

    temperature: float
    progress: Mapping[str, Any] = field(repr=False)
    """JSON-able, and nobody's business but the engine's."""


Outcome = Heard | Again | TranscriptionError


class Engine(Protocol):
    """What turns a batch into outcomes. Used from one thread of one process.

    The same contract tests (`tests/workers/test_engine_contract.py`) hold for every engine. What has a body
    here may be inherited.
    """

    model: str
    """Name of the model, as it stands on transcripts."""
    takes: Sequence[Medium] = ("audio",)
    """What its requests may bring; whoever brings something else is refused before anything is prepared."""

    def load(self) -> None:
        """Load the weights and run once, so that the first batch is as fast as the others."""
        ...

    def unload(self) -> None:
        """Give back the memory of the weights; nothing is run after it, unless `load` comes first."""
        return

    def prepare(self, samples: Samples, options: Options) -> Row:
        """Do for one audio segment whatever does not need the rest of its batch.

        Called beside `run` and `prepare_all` too, from another thread.
        """
        return Row(samples=samples, options=options)

    def prepare_text(self, text: str, options: Options) -> Row:
        """The same for a text, of 1 to 4 096 characters; for an engine that takes it."""
        return Row(text=text, options=options)

    def prepare_all(self, asked: Sequence[Asked]) -> list[Row]:
        """`prepare` each, in order; with nothing else to do until all are ready."""
        return [prepared(self, *one) for one in asked]

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        """One outcome for each row, in order; all rows share one `compatibility_key`.

        Raises:
            OutOfMemory: the device could not hold this batch; a smaller one may fit.
            Exception: anything else; the caller finds the guilty row by bisection.
        """
        ...


def prepared(engine: Engine, given: Given, options: Options) -> Row:
    """What `engine` prepares of it, as what it is."""
    if isinstance(given, str):
        return engine.prepare_text(given, options)
    return engine.prepare(given, options)


def compatibility_key(options: Options, temperature: float | None = None) -> Hashable:
    """What requests must share to share a batch.

    CTranslate2's `Whisper.generate` takes one prompt a row, so language, task and prompts may differ;
    everything else below is one value for the whole call. The gates are applied per row afterwards.

    Args:
        options: what the request asks for, its preference settled (`workers.preferences`).
        temperature: at which it is to be heard `Again`; None for its first.
    """
    at = options.temperatures[0] if temperature is None else temperature
    search = (options.beam_size, options.patience) if at == 0 else (options.best_of,)
    return (
        options.model_pref,
        at,
        search,
        options.length_penalty,
        options.repetition_penalty,
        options.no_repeat_ngram_size,
        options.suppress_blank,
        options.suppress_tokens,
        options.without_timestamps,
        options.max_initial_timestamp,
        options.max_new_tokens,
        options.word_timestamps,  # a second pass, for which the others would have to wait
    )
