"""What a caller wants of one audio segment: faster-whisper's names and defaults; checked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from protocol.errors import RequestError
from protocol.option_values import (
    check_flag,
    check_integer,
    check_language,
    check_marks,
    check_model_pref,
    check_number,
    check_one_of,
    check_prompt,
    check_suppressed,
    check_temperatures,
    check_threshold,
    check_vad_parameters,
)

TASKS = ("transcribe", "translate")

#: Whisper's decoder has 448 positions (openai/whisper, `n_text_ctx`).
MAX_NEW_TOKENS = 448

#: Options of faster-whisper that a request cannot have, and why.
REFUSED = {
    "clip_timestamps": "send each stretch of sound as a request of its own",
    "chunk_length": "a window is 30 s, as the model was trained",
    "multilingual": "an audio segment is one window: leave language out, and it is detected",
    "language_detection_segments": "an audio segment is one window, so there is one to detect it in",
    "language_detection_threshold": "an audio segment is one window, so no other could be asked",
    "log_progress": "a worker's terminal is not the caller's; ask for the status of the request",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one audio segment is to be transcribed.

    Every instance is valid: a bad value raises `RequestError` naming the field, the value and the limit.
    Lists are kept as tuples. Decoding is deterministic as long as no temperature above 0 is needed.
    """

    language: str | None = None
    """Whisper language code such as ``"en"``; None detects it from the audio."""
    task: str = "transcribe"
    beam_size: int = 5
    best_of: int = 5
    """How many are sampled at a temperature above 0, to keep the likeliest."""
    patience: float = 1.0
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    temperature: float | tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """Tried in this order until the text passes `compression_ratio_threshold` and `log_prob_threshold`."""
    compression_ratio_threshold: float | None = 2.4
    log_prob_threshold: float | None = -1.0
    no_speech_threshold: float | None = 0.6
    condition_on_previous_text: bool = True
    prompt_reset_on_temperature: float = 0.5
    initial_prompt: str | None = field(default=None, repr=False)
    prefix: str | None = field(default=None, repr=False)
    hotwords: str | None = field(default=None, repr=False)
    suppress_blank: bool = True
    suppress_tokens: tuple[int, ...] | None = (-1,)
    """Tokens that are never generated; −1 stands for the model's own set of symbols."""
    without_timestamps: bool = False
    max_initial_timestamp: float = 1.0
    word_timestamps: bool = False
    prepend_punctuations: str = "\"'“¿([{-"
    append_punctuations: str = "\"'.。,，!！?？:：”)]}、"
    hallucination_silence_threshold: float | None = None
    """With `word_timestamps`: silence longer than this, in seconds, around doubtful words drops them."""
    max_new_tokens: int | None = None
    vad_filter: bool = False
    """Cut silence out before the engine hears the audio (Silero); times are those of the whole audio."""
    vad_parameters: Mapping[str, float] | None = field(default=None, hash=False)
    model_pref: str | None = None
    """Which of the worker's models hears it, by the name that its settings give it; None is its default.

    Not an option of faster-whisper, which has one model. Only the worker knows the names.
    """

    def __post_init__(self) -> None:
        check_model_pref(self.model_pref)
        self._keep_own_copies()
        self._check_decoding()
        self._check_gates()
        self._check_prompts()
        self._check_times()

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Options:
        """Build options from a mapping, refusing names that do not exist, or that a request cannot have."""
        unknown = sorted(str(name)[:40] for name in given if name not in OPTION_NAMES)
        if reasons := [
            f"{name} is not an option of a request: {REFUSED[name]}" for name in REFUSED if name in unknown
        ]:
            raise RequestError("; ".join(reasons), "BAD_OPTION")
        if unknown:
            raise RequestError(
                f"unknown option {', '.join(unknown)}; known are {', '.join(OPTION_NAMES)}", "BAD_OPTION"
            )
        values: dict[str, Any] = dict(given)
        return cls(**values)

    @property
    def temperatures(self) -> tuple[float, ...]:
        """What is tried, in order; at least one."""
        return self.temperature if isinstance(self.temperature, tuple) else (self.temperature,)

    def changes(self) -> dict[str, Any]:
        """The options that differ from the defaults: what goes over the wire."""
        given = zip(_DEFAULTS.items(), _values(self), strict=True)
        return {
            name: value
            for (name, default), value in given
            if value is not default and value != default  # most are the very default: this is asked often
        }

    def _keep_own_copies(self) -> None:
        for name in ("temperature", "suppress_tokens"):
            if isinstance(value := getattr(self, name), list):
                object.__setattr__(self, name, tuple(value))
        if isinstance(self.vad_parameters, Mapping):
            object.__setattr__(self, "vad_parameters", dict(self.vad_parameters))

    def _check_decoding(self) -> None:
        check_language(self.language)
        check_one_of("task", self.task, TASKS)
        check_integer("beam_size", self.beam_size, 1, 20)
        check_integer("best_of", self.best_of, 1, 20)
        check_number("patience", self.patience, 0.1, 10.0)
        check_number("length_penalty", self.length_penalty, 0.0, 10.0)
        check_number("repetition_penalty", self.repetition_penalty, 0.1, 10.0)
        check_integer("no_repeat_ngram_size", self.no_repeat_ngram_size, 0, 100)
        check_flag("suppress_blank", self.suppress_blank)
        check_suppressed(self.suppress_tokens)
        if self.max_new_tokens is not None:
            check_integer("max_new_tokens", self.max_new_tokens, 1, MAX_NEW_TOKENS)

    def _check_gates(self) -> None:
        check_temperatures(self.temperature)
        check_threshold("compression_ratio_threshold", self.compression_ratio_threshold, 0.0, 100.0)
        check_threshold("log_prob_threshold", self.log_prob_threshold, -100.0, 0.0)
        check_threshold("no_speech_threshold", self.no_speech_threshold, 0.0, 1.0)
        check_flag("vad_filter", self.vad_filter)
        check_vad_parameters(self.vad_parameters)

    def _check_prompts(self) -> None:
        check_flag("condition_on_previous_text", self.condition_on_previous_text)
        check_number("prompt_reset_on_temperature", self.prompt_reset_on_temperature, 0.0, 100.0)
        for name in ("initial_prompt", "prefix", "hotwords"):
            check_prompt(name, getattr(self, name))

    def _check_times(self) -> None:
        check_flag("without_timestamps", self.without_timestamps)
        check_number("max_initial_timestamp", self.max_initial_timestamp, 0.0, 30.0)
        check_flag("word_timestamps", self.word_timestamps)
        for name in ("prepend_punctuations", "append_punctuations"):
            check_marks(name, getattr(self, name))
        threshold = self.hallucination_silence_threshold
        check_threshold("hallucination_silence_threshold", threshold, 0.0, 30.0)


OPTION_NAMES = tuple(field.name for field in fields(Options))
_DEFAULTS = {field.name: field.default for field in fields(Options)}
_values = attrgetter(*_DEFAULTS)
