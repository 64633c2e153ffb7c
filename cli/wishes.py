"""What may be wished of a transcript on the command line: openai-whisper's flags, as far as they apply."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from cli.exits import Exit, ended
from cli.languages import code_of

if TYPE_CHECKING:
    from producer.given import GivenForOne

#: Flags of openai-whisper that say how the model runs: here it runs in a worker, which has them.
WORKERS_OWN = frozenset("--model --model-dir --device --fp16 --threads".split())

#: Flags that openai-whisper wants True or False after; here they may stand alone.
SWITCHES = frozenset("--word-timestamps --condition-on-previous-text --vad-filter".split())
TRUTHS = {"True": True, "False": False}

#: Highest temperature that is tried, and the steps up to it (openai/whisper, `transcribe.cli`).
HIGHEST_TEMPERATURE, TEMPERATURE_STEP = 1.0, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options of a request that were given; None is what `protocol.options.Options` says."""

    model_pref: Annotated[
        str | None,
        typer.Option(
            help="Which of the worker's models: fast, balanced, quality, or what its settings name.",
            metavar="NAME",
        ),
    ] = None
    language: Annotated[
        str | None,
        typer.Option(
            help="Such as en or English; found out from the audio if not given.", metavar="LANGUAGE"
        ),
    ] = None
    task: Annotated[
        str | None, typer.Option(help="transcribe, or translate into English.", metavar="TASK")
    ] = None
    initial_prompt: Annotated[
        str | None, typer.Option(help="Text that might have come before: names, spelling.", metavar="TEXT")
    ] = None
    hotwords: Annotated[
        str | None, typer.Option(help="Words that are likely to be said.", metavar="TEXT")
    ] = None
    word_timestamps: Annotated[
        bool | None, typer.Option("--word-timestamps/--no-word-timestamps", help="Times of each word.")
    ] = None
    vad_filter: Annotated[
        bool | None, typer.Option("--vad-filter/--no-vad-filter", help="Leave silence out beforehand.")
    ] = None
    beam_size: Annotated[int | None, typer.Option(help="Texts followed side by side.", metavar="N")] = None
    best_of: Annotated[
        int | None, typer.Option(help="Samples at a temperature above 0, to keep the best.", metavar="N")
    ] = None
    patience: Annotated[float | None, typer.Option(help="Patience of the beam.", metavar="X")] = None
    length_penalty: Annotated[
        float | None, typer.Option(help="Exponent for the length of texts compared.", metavar="X")
    ] = None
    temperature: Annotated[
        float | None, typer.Option(help="Where decoding begins; 0 is without chance.", metavar="X")
    ] = None
    temperature_increment_on_fallback: Annotated[
        float | None,
        typer.Option(help="Step up to 1 while a text looks wrong; 0 is no step.", metavar="X"),
    ] = None
    condition_on_previous_text: Annotated[
        bool | None,
        typer.Option(
            "--condition-on-previous-text/--no-condition-on-previous-text",
            help="Let each window know the text before.",
        ),
    ] = None
    compression_ratio_threshold: Annotated[
        float | None, typer.Option(help="A text looks wrong if it repeats itself more.", metavar="X")
    ] = None
    logprob_threshold: Annotated[
        float | None, typer.Option(help="A text looks wrong if it is less likely.", metavar="X")
    ] = None
    no_speech_threshold: Annotated[
        float | None, typer.Option(help="Silence if that is likelier.", metavar="X")
    ] = None

    def options(self) -> GivenForOne:
        """What was wished for, by the names that a client knows.

        Raises:
            RequestError: a value is wrong.
        """
        from protocol.options import Options

        given: Any = {one.name: getattr(self, one.name) for one in fields(self)}
        given["language"] = code_of(given["language"])
        given["log_prob_threshold"] = given.pop("logprob_threshold")
        step = given.pop("temperature_increment_on_fallback")
        given["temperature"] = _temperatures(given["temperature"], step)
        wanted: GivenForOne = {name: value for name, value in given.items() if value is not None}  # type: ignore[assignment]
        Options.of(wanted)
        return wanted


class WhisperSpelling(TyperCommand):
    """A command that understands openai-whisper's ``--word_timestamps True``, and what it cannot have."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line, once it is spelled as it is here."""
        return super().parse_args(ctx, [*_spelled(args)])


def _spelled(arguments: list[str]) -> Iterator[str]:
    """`arguments` with ``--switch True`` as ``--switch`` and ``--switch False`` as ``--no-switch``."""
    left = deque(arguments)
    while left and left[0] != "--":
        argument = left.popleft()
        name, _, value = argument.partition("=")
        name = name.replace("_", "-")
        if name in WORKERS_OWN:
            choose = "; --model-pref chooses among its models" if name == "--model" else ""
            raise ended(Exit.USAGE, f"{name} is the worker's: see `segue worker --help`{choose}")
        if name in SWITCHES and not value and left and left[0] in TRUTHS:
            value = left.popleft()
        yield (name if TRUTHS[value] else f"--no-{name[2:]}") if value in TRUTHS else argument
    yield from left


def _temperatures(first: float | None, step: float | None) -> float | tuple[float, ...] | None:
    """The temperatures that are tried, from `first` in steps up to 1; None for the default ones."""
    if first is None and step is None:
        return None
    first, step = first or 0.0, TEMPERATURE_STEP if step is None else step
    if step <= 0:
        return first
    n_steps = max(0, int((HIGHEST_TEMPERATURE - first) / step + 1e-6))
    return tuple(round(first + number * step, 6) for number in range(n_steps + 1))
