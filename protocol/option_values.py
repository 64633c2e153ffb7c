"""What the value of one option may be: each check raises `RequestError` with the name, value and limit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from protocol.errors import RequestError
from protocol.languages import LANGUAGE_CODES

#: Longest prompt, hotwords or prefix accepted, in characters. Whisper itself keeps at most 223 tokens
#: of it, which is below 2 000 characters in any language.
MAX_PROMPT_CHARACTERS = 2_000

#: Most temperatures tried for a window; faster-whisper's default has 6, and each is another engine call.
MAX_TEMPERATURES = 10

#: Above this every token is about as likely as any other, and the answer is noise.
MAX_TEMPERATURE = 2.0

#: Most tokens that a request may forbid: the default set of a stock model has about 90.
MAX_SUPPRESSED = 1_000

#: No Whisper vocabulary comes near it; the engine checks against its own.
MAX_TOKEN = 1_000_000

#: Most punctuation marks that stick to a word; faster-whisper's defaults have 8 and 17.
MAX_MARKS = 100

#: The parameters of Silero, as `faster_whisper.vad.VadOptions` names them, with their least and greatest
#: value. An audio segment lasts at most 30 s.
VAD_PARAMETERS: dict[str, tuple[float, float]] = {
    "threshold": (0.0, 1.0),
    "neg_threshold": (0.0, 1.0),
    "min_speech_duration_ms": (0, 30_000),
    "max_speech_duration_s": (0.1, 30.0),
    "min_silence_duration_ms": (0, 30_000),
    "speech_pad_ms": (0, 30_000),
}

_MODEL_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

#: What a name of a model among several may be, as a phrase.
MODEL_NAME = "a name of 1 to 64 letters, digits, '.', '_' or '-'"


def check_language(language: object) -> None:
    """None, or one of Whisper's codes."""
    if language is None:
        return
    if not isinstance(language, str) or language not in LANGUAGE_CODES:
        raise RequestError(
            f"unknown language {_shown(language)}: expected one of Whisper's {len(LANGUAGE_CODES)} codes,"
            " such as 'en', or none to detect it",
            "BAD_LANGUAGE",
        )


def check_model_pref(name: object) -> None:
    """None, or what may be the name of a model: whether it is one, the worker says."""
    if name is not None and not is_model_name(name):
        raise bad("model_pref", name, MODEL_NAME)


def is_model_name(name: object) -> bool:
    """Whether an operator may give a model this name."""
    return isinstance(name, str) and _MODEL_NAME.fullmatch(name) is not None


def check_one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    """One of a few words."""
    if value not in known:
        raise bad(name, value, f"one of {', '.join(known)}")


def check_flag(name: str, value: object) -> None:
    """True or false, and nothing that only looks like it."""
    if not isinstance(value, bool):
        raise bad(name, value, "true or false")


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """A whole number within limits."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise bad(name, value, f"a whole number from {low} to {high}")


def check_number(name: str, value: object, low: float, high: float) -> None:
    """A finite number within limits."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise bad(name, value, f"a number from {low} to {high}")
    if not low <= value <= high:
        raise bad(name, value, f"a number from {low} to {high}")


def check_threshold(name: str, value: object, low: float, high: float) -> None:
    """A number within limits, or None: the gate is open."""
    if value is not None:
        check_number(name, value, low, high)


def check_prompt(name: str, text: object) -> None:
    """None, or text that may stand in a prompt."""
    if text is None:
        return
    if not isinstance(text, str):
        raise bad(name, text, "text")
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise RequestError(
            f"{name} has {len(text)} characters, the limit is {MAX_PROMPT_CHARACTERS}", "PROMPT_TOO_LONG"
        )
    if any(ord(character) < 32 and character not in "\n\t" for character in text):
        raise RequestError(f"{name} contains control characters", "BAD_OPTION")


def check_marks(name: str, marks: object) -> None:
    """Punctuation marks, one after the other."""
    if not isinstance(marks, str) or len(marks) > MAX_MARKS:
        raise bad(name, marks, f"text of at most {MAX_MARKS} characters")


def check_temperatures(value: object) -> None:
    """A number, or some of them in the order in which they are tried."""
    if not isinstance(value, tuple):
        check_number("temperature", value, 0.0, MAX_TEMPERATURE)
        return
    if not 1 <= len(value) <= MAX_TEMPERATURES:
        raise bad("temperature", value, f"a number, or 1 to {MAX_TEMPERATURES} of them")
    for one in value:
        check_number("temperature", one, 0.0, MAX_TEMPERATURE)


def check_suppressed(value: object) -> None:
    """None, or numbers of tokens; −1 stands for the model's own set."""
    if value is None:
        return
    if not isinstance(value, tuple) or len(value) > MAX_SUPPRESSED:
        raise bad("suppress_tokens", value, f"none, or a list of at most {MAX_SUPPRESSED} token numbers")
    for token in value:
        check_integer("suppress_tokens", token, -1, MAX_TOKEN)


def check_vad_parameters(value: object) -> None:
    """None, or some of Silero's parameters."""
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise bad("vad_parameters", value, "an object")
    for name, one in value.items():
        if name not in VAD_PARAMETERS:
            raise bad("vad_parameters", name, f"names among {', '.join(VAD_PARAMETERS)}")
        check_number(f"vad_parameters.{name}", one, *VAD_PARAMETERS[name])


def bad(name: str, value: object, expected: str) -> RequestError:
    """The error for `value`, of which at most 40 characters are shown."""
    return RequestError(f"{name} is {_shown(value)}: expected {expected}", "BAD_OPTION")


def _shown(value: object) -> str:
    return repr(value)[:40]
