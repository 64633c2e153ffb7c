"""The `segue` command: what it starts, what it refuses, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.flower import asks_who_is_there, is_loopback
from cli.main import app
from cli.worker import checked_environment
from tests.bad_asks import BAD_IDS, shown
from workers.settings import NAMES

#: What a verb may need but `segue --help` must not pay for.
HEAVY = "celery kombu redis numpy pydantic rich faster_whisper ctranslate2 av flower workers producer"


Started = list[tuple[list[str], dict[str, str]]]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is set where the tests run stays out of them."""
    for name in ("SEGUE_CONFIG", "FLOWER_BASIC_AUTH", "FLOWER_AUTH", *(name.env for name in NAMES)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_audio(tmp_path: Path) -> Path:
    """A file that is not audio."""
    path = tmp_path / "notes.txt"
    path.write_text("not a sound")
    return path


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """What would have taken the place of this process: command line and environment."""
    calls: Started = []
    monkeypatch.setattr(os, "execve", lambda _, command, environ: calls.append((command, environ)))
    return calls


def segue(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")


def test_help_loads_nothing_heavy() -> None:
    """Who asks for help gets it at once: no verb's libraries are loaded before the verb runs."""
    script = f"""if True:
        import sys, cli.main
        print(*sorted(set({HEAVY!r}.split()) & set(sys.modules)))
    """
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_help_names_every_verb_and_exit_status() -> None:
    """Who has read `segue --help` knows what there is and what an exit status means."""
    shown = segue("--help").stdout
    for verb in "demo up worker flower transcribe submit say status result cancel queue config".split():
        assert f"\n  {verb} " in shown
    for status in ("0 all done", "1 some", "2 wrong", "3 Redis", "4 timeout", "130 Ctrl-C"):
        assert status in " ".join(shown.split())


@pytest.mark.parametrize("family", ["", "bench", "config", "dead"])
def test_no_first_sentence_is_cut_off(family: str, narrow: None) -> None:
    """Every verb says in one whole line what it is for, on 80 columns too."""
    shown = segue(*family.split(), "--help").stdout
    assert "Commands:" in shown
    assert "..." not in shown.partition("Commands:")[2]


@pytest.mark.parametrize("family", ["bench", "config", "dead"])
def test_only_segue_itself_installs_completion(family: str) -> None:
    """A family of verbs is no program that a shell could complete."""
    assert "--install-completion" not in segue(family, "--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["transcribe"],
        ["no-such-verb"],
        ["queue", "--no-such-option"],
        ["submit", "a.wav", "--priority", "soon"],
        ["submit", "a.wav", "--priority", "URGENT"],
        ["submit", "a.wav", "--priority", "11"],
        ["demo", "--segments", "0"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    """A command line that makes no sense does nothing and says so."""
    asked = segue(*arguments)
    assert asked.exit_code == 2
    assert "Error" in asked.stderr


def test_an_unknown_language_is_wrong_usage(no_audio: Path) -> None:
    """An option that would fail for every file is refused once, before anything is submitted."""
    asked = segue("transcribe", no_audio, "--language", "klingon")
    assert asked.exit_code == 2
    assert asked.stderr.startswith("segue: unknown language 'klingon'")


@pytest.mark.parametrize(
    ("verb", "request_id"),
    [("result", "a b"), ("cancel", "a b"), *(("status", one) for one in BAD_IDS if isinstance(one, str))],
    ids=shown,
)
def test_an_impossible_request_id_is_wrong_usage(verb: str, request_id: str, nowhere: str) -> None:
    """An id that no request can have is named, whether or not Redis is there."""
    asked = segue(verb, request_id, "--redis-url", nowhere)
    assert asked.exit_code == 2
    assert "request_id is " in asked.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e308", "253402300799", "soon", ""])
def test_an_impossible_deadline_is_wrong_usage(seconds: str, no_audio: Path, nowhere: str) -> None:
    """Seconds from now, above none and no longer than a year; nothing is read before that is clear."""
    asked = segue("submit", no_audio, f"--deadline={seconds}", "--redis-url", nowhere)
    assert asked.exit_code == 2
    assert "deadline" in asked.stderr


@pytest.mark.parametrize("spelling", ["--output_format=verbose_json", "--max_line_width=9", "--output_dir=."])
def test_openai_whispers_spelling_is_understood(spelling: str, no_audio: Path, nowhere: str) -> None:
    """Who comes from its command line need not learn where the hyphens are."""
    assert segue("transcribe", no_audio, spelling, "--redis-url", nowhere).exit_code == 3


@pytest.mark.parametrize("flag", ["--model", "--model=small", "--device", "--fp16", "--model_dir"])
def test_what_the_worker_has_is_said_so(flag: str, no_audio: Path) -> None:
    """Who asks for a model here, as openai-whisper has it, is told where to."""
    asked = segue("transcribe", no_audio, flag, "small")
    assert asked.exit_code == 2
    assert "is the worker's: see `segue worker --help`" in asked.stderr
    assert ("--model-pref" in asked.stderr) == (flag.partition("=")[0] == "--model")
    assert asked.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--beam_size", "99"], "beam_size"),
        (["--temperature", "7"], "temperature"),
        (["--task", "sing"], "task"),
        (["--initial_prompt", "a\0b"], "initial_prompt"),
        (["--initial_prompt", "x" * 1_000_000], "initial_prompt"),
        (["--hotwords", "x" * 1_000_000], "hotwords"),
        (["--language", "klingon"], "language"),
        (["--model-pref", "../small"], "model_pref"),
    ],
)
def test_a_wish_out_of_range_is_wrong_usage(flags: list[str], complaint: str, no_audio: Path) -> None:
    """It would fail for every file: one line names it, and nothing is submitted."""
    for verb in ("transcribe", "submit", "say"):
        asked = segue(verb, no_audio, "--json", *flags)
        assert (asked.exit_code, asked.stderr.count("\n")) == (2, 1)
        assert asked.stderr.startswith("segue: ")
        assert complaint in asked.stderr


@pytest.mark.parametrize(
    ("typed", "completed"), [("segue tr", "transcribe"), ("segue transcribe --word", "--word-timestamps")]
)
def test_a_shell_can_complete(typed: str, completed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verbs and options are completed, by the shell's own means."""
    # There may be no shell among the parents of a test run: typer then takes the name that it is given.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    words = {"_SEGUE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    asked = CliRunner().invoke(app, [], env=words, prog_name="segue")
    assert completed in asked.stdout.split()
    assert "complete" in segue("--show-completion", "bash").stdout


VERBS = "demo up worker flower zmq transcribe submit say status result cancel queue".split()
FAMILIES = [
    *("config check", "dead list", "dead show", "dead retry", "dead drop"),
    *("bench engine", "bench faults", "bench policy", "bench queue", "bench recording"),
]


@pytest.mark.parametrize("verb", ["", "config", "dead", "bench", *VERBS, *FAMILIES])
def test_help_fits_a_terminal(verb: str, narrow: None) -> None:
    """No line is longer than 80 columns, and no frame is around them."""
    shown = segue(*verb.split(), "--help").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "╭" not in shown


@pytest.mark.parametrize("verb", [["queue"], ["status", "some-id"], ["result", "some-id"]])
def test_no_redis_ends_with_3(verb: list[str], nowhere: str) -> None:
    """Unreachable is a status of its own, and one line instead of a traceback."""
    asked = segue(*verb, "--redis-url", nowhere)
    assert asked.exit_code == 3
    assert asked.stderr.startswith("segue: Redis did not answer")
    assert asked.stderr.count("\n") == 1


def test_a_worker_gets_its_options_through_the_environment(tmp_path: Path) -> None:
    """What is given becomes the variable of the same setting; what is not given is left alone."""
    config = tmp_path / "segue.yaml"
    config.write_text("device: cpu\n")
    flags = {"model": "demo", "max_batch_size": "4", "batching_enabled": False, "engine": None}
    assert checked_environment(config, flags) == {
        "SEGUE_MODEL": "demo",
        "SEGUE_MAX_BATCH_SIZE": "4",
        "SEGUE_BATCHING_ENABLED": "False",
        "SEGUE_CONFIG": str(config),
    }


def test_a_worker_with_wrong_settings_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every mistake is named at once, wherever it was made, before Celery is started."""
    monkeypatch.setenv("SEGUE_MAX_BATCH_WAIT_MS", "soon")
    asked = segue("worker", "--max-batch-size", "0", "--engine", "steam")
    assert asked.exit_code == 2
    for mistake in ("--max-batch-size is '0'", "--engine is 'steam'", "SEGUE_MAX_BATCH_WAIT_MS is 'soon'"):
        assert mistake in asked.stderr


def test_a_worker_is_celerys_own(started: Started) -> None:
    """Celery takes the place of this process, so that signals reach it; its own options come last."""
    segue("worker", "--model", "demo", "--log-level", "DEBUG", "--hostname", "gpu1@%h")
    ((command, environ),) = started
    assert command[:6] == [sys.executable, "-m", "celery", "-A", "workers", "worker"]
    assert command[6:9] == ["--task-events", "--loglevel", "DEBUG"]
    assert command[-2:] == ["--hostname", "gpu1@%h"]
    assert environ["SEGUE_MODEL"] == "demo"


@pytest.mark.parametrize("address", ["0.0.0.0", "", "::", "192.0.2.7", "myhost"])  # noqa: S104 - refused
def test_flower_is_not_opened_without_a_password(address: str, started: Started) -> None:
    """Everyone who reaches Flower can read and revoke; without a password that is only this machine."""
    asked = segue("flower", f"--address={address}")
    assert (asked.exit_code, started) == (2, [])
    assert "FLOWER_BASIC_AUTH" in asked.stderr


@pytest.mark.parametrize(
    ("environ", "options", "asks"),
    [
        ({"FLOWER_BASIC_AUTH": "me:secret"}, [], True),
        ({"FLOWER_AUTH": ".*@example\\.com"}, [], True),
        ({}, ["--basic-auth=me:secret"], True),
        ({}, ["--basic_auth=me:secret"], True),
        ({}, [], False),
        ({"FLOWER_BASIC_AUTH": ""}, ["--basic-auth="], False),
        ({}, ["--auto-refresh=true"], False),
    ],
)
def test_flower_is_closed_by_a_password(environ: dict[str, str], options: list[str], asks: bool) -> None:
    """A user and password, or a login elsewhere, from a variable or an option; an empty one is none."""
    assert asks_who_is_there(environ, options) is asks


def test_loopback_needs_no_password() -> None:
    """Nobody else can reach these."""
    assert all(map(is_loopback, ["127.0.0.1", "127.1.2.3", "::1", "localhost"]))


def test_flower_runs_beside_the_worker(started: Started) -> None:
    """On the worker's application, since another one would count the wrong lists, and on the same Redis."""
    segue("flower", "--redis-url", "redis://192.0.2.7/0", "--max-tasks=10")
    ((command, environ),) = started
    assert command[1:6] == ["-m", "celery", "-A", "workers", "flower"]
    assert command[6:] == ["--address=127.0.0.1", "--port=5555", "--max-tasks=10"]
    assert environ["REDIS_URL"] == "redis://192.0.2.7/0"
