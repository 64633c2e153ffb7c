"""What a caller wants of one audio segment: faster-whisper's names and defaults, checked once, here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from protocol.errors import RequestError
from protocol.languages import LANGUAGE_CODES

TASKS = ("transcribe", "translate")

#: Longest prompt, hotwords or prefix accepted, in characters. Whisper itself keeps at most 223 tokens
#: of it, which is below 2 000 characters in any language.
MAX_PROMPT_CHARACTERS = 2_000

#: Whisper's decoder has 448 positions (openai/whisper, `n_text_ctx`).
MAX_NEW_TOKENS = 448


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one audio segment is to be transcribed.

    Every instance is valid: a bad value raises `RequestError` naming the field, the value and the limit.
    Decoding is deterministic (temperature 0).
    """

    language: str | None = None
    """Whisper language code such as ``"en"``; None detects it from the audio."""
    task: str = "transcribe"
    beam_size: int = 5
    patience: float = 1.0
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    log_prob_threshold: float | None = -1.0
    no_speech_threshold: float | None = 0.6
    condition_on_previous_text: bool = True
    initial_prompt: str | None = None
    prefix: str | None = None
    hotwords: str | None = None
    suppress_blank: bool = True
    without_timestamps: bool = False
    max_initial_timestamp: float = 1.0
    max_new_tokens: int | None = None

    def __post_init__(self) -> None:
        _check_language(self.language)
        if self.task not in TASKS:
            raise _bad("task", self.task, f"one of {', '.join(TASKS)}")
        _check_integer("beam_size", self.beam_size, 1, 20)
        _check_number("patience", self.patience, 0.1, 10.0)
        _check_number("length_penalty", self.length_penalty, 0.0, 10.0)
        _check_number("repetition_penalty", self.repetition_penalty, 0.1, 10.0)
        _check_integer("no_repeat_ngram_size", self.no_repeat_ngram_size, 0, 100)
        if self.log_prob_threshold is not None:
            _check_number("log_prob_threshold", self.log_prob_threshold, -100.0, 0.0)
        if self.no_speech_threshold is not None:
            _check_number("no_speech_threshold", self.no_speech_threshold, 0.0, 1.0)
        for name in ("condition_on_previous_text", "suppress_blank", "without_timestamps"):
            if not isinstance(getattr(self, name), bool):
                raise _bad(name, getattr(self, name), "true or false")
        for name in ("initial_prompt", "prefix", "hotwords"):
            _check_prompt(name, getattr(self, name))
        _check_number("max_initial_timestamp", self.max_initial_timestamp, 0.0, 30.0)
        if self.max_new_tokens is not None:
            _check_integer("max_new_tokens", self.max_new_tokens, 1, MAX_NEW_TOKENS)

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Options:
        """Build options from a mapping, refusing names that do not exist."""
        unknown = sorted(str(name)[:40] for name in given if name not in OPTION_NAMES)
        if unknown:
            raise RequestError(
                f"unknown option {', '.join(unknown)}; known are {', '.join(OPTION_NAMES)}", "BAD_OPTION"
            )
        values: dict[str, Any] = dict(given)
        return cls(**values)

    def changes(self) -> dict[str, Any]:
        """The options that differ from the defaults: what goes over the wire."""
        return {name: value for name, value in asdict(self).items() if value != _DEFAULTS[name]}


OPTION_NAMES = tuple(field.name for field in fields(Options))
_DEFAULTS = {field.name: field.default for field in fields(Options)}


def _check_language(language: object) -> None:
    if language is None:
        return
    if not isinstance(language, str) or language not in LANGUAGE_CODES:
        raise RequestError(
            f"unknown language {_shown(language)}: expected one of Whisper's {len(LANGUAGE_CODES)} codes,"
            " such as 'en', or none to detect it",
            "BAD_LANGUAGE",
        )


def _check_integer(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _bad(name, value, f"a whole number from {low} to {high}")


def _check_number(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _bad(name, value, f"a number from {low} to {high}")
    if not low <= value <= high:
        raise _bad(name, value, f"a number from {low} to {high}")


def _check_prompt(name: str, text: object) -> None:
    if text is None:
        return
    if not isinstance(text, str):
        raise _bad(name, text, "text")
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise RequestError(
            f"{name} has {len(text)} characters, the limit is {MAX_PROMPT_CHARACTERS}", "PROMPT_TOO_LONG"
        )
    if any(ord(character) < 32 and character not in "\n\t" for character in text):
        raise RequestError(f"{name} contains control characters", "BAD_OPTION")


def _bad(name: str, value: object, expected: str) -> RequestError:
    return RequestError(f"{name} is {_shown(value)}: expected {expected}", "BAD_OPTION")


def _shown(value: object) -> str:
    return repr(value)[:40]
