"""openai-whisper's flags, and the options of a request that they become."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cli.gathered import gathered
from cli.main import app as segue
from cli.wishes import WhisperSpelling, Wishes


def wished(*flags: str) -> dict[str, Any]:
    """The options that `flags` stand for, on a command that does nothing else."""
    seen: list[dict[str, Any]] = []

    def verb(file: str, wishes: Wishes) -> None:
        """Look."""
        assert file == "a.wav"
        seen.append({**wishes.options()})

    app = typer.Typer(rich_markup_mode=None)
    spelling = {"token_normalize_func": lambda name: name.replace("_", "-")}
    app.command(cls=WhisperSpelling, context_settings=spelling)(gathered(wishes=Wishes)(verb))
    asked = CliRunner().invoke(app, list(flags), catch_exceptions=False)
    assert asked.exit_code == 0, asked.stderr
    return seen[0]


def test_nothing_wished_is_nothing_said() -> None:
    """Defaults are the client's and the worker's: the command has none of its own."""
    assert wished("a.wav") == {}


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        ("--model-pref quality", {"model_pref": "quality"}),
        ("--language en --task translate", {"language": "en", "task": "translate"}),
        ("--language Japanese", {"language": "ja"}),
        ("--beam_size 3 --best_of=2", {"beam_size": 3, "best_of": 2}),
        ("--logprob_threshold -2", {"log_prob_threshold": -2.0}),
        ("--no_speech_threshold 0.5", {"no_speech_threshold": 0.5}),
        ("--compression_ratio_threshold 3", {"compression_ratio_threshold": 3.0}),
        ("--initial_prompt Names --hotwords Segue", {"initial_prompt": "Names", "hotwords": "Segue"}),
        ("--patience 2 --length_penalty 0.5", {"patience": 2.0, "length_penalty": 0.5}),
    ],
)
def test_flags_become_options(flags: str, options: dict[str, Any]) -> None:
    """In openai-whisper's spelling, with a space or an equals sign."""
    assert wished(*flags.split(), "a.wav") == options


@pytest.mark.parametrize("flag", ["word_timestamps", "condition_on_previous_text", "vad_filter"])
def test_switches_may_be_told_true_or_false(flag: str) -> None:
    """openai-whisper wants a word after them; here they may also stand alone, before a file as well."""
    plain = f"--{flag.replace('_', '-')}"
    for given in ([f"--{flag}", "True"], [f"--{flag}=True"], [plain], [f"--{flag}"]):
        assert wished(*given, "a.wav") == {flag: True}
    for given in ([f"--{flag}", "False"], [f"--{flag}=False"], [f"--no{plain[1:]}"]):
        assert wished(*given, "a.wav") == {flag: False}


@pytest.mark.parametrize(
    ("flags", "tried"),
    [
        ("--temperature 0", (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ("--temperature 0.7", (0.7, 0.9)),
        ("--temperature 0.2 --temperature_increment_on_fallback 0", 0.2),
        ("--temperature_increment_on_fallback 0.5", (0.0, 0.5, 1.0)),
        ("--temperature 1", (1.0,)),
    ],
)
def test_temperatures_go_up_to_one(flags: str, tried: object) -> None:
    """From the first in equal steps, as openai-whisper's command does; without a step there is one."""
    assert wished(*flags.split(), "a.wav")["temperature"] == tried


def test_what_comes_after_two_dashes_is_a_file() -> None:
    """Whatever it looks like: `--model` is then not the worker's flag."""
    asked = CliRunner().invoke(segue, ["submit", "--beam-size", "99", "--", "--model"])
    assert asked.stderr.startswith("segue: beam_size is 99")
