"""`segue config`: what is set, and where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.config import app
from workers.settings import NAMES


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is set where the tests run stays out of them."""
    for name in ("SEGUE_CONFIG", *(name.env for name in NAMES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "40")


def test_prints_every_setting_with_its_source() -> None:
    """The table has a row for each setting, with its value and where it comes from.

    In a file or pipe it is a line each, however narrow the screen beside it is.
    """
    result = CliRunner().invoke(app, ["check"], env={"SEGUE_MODEL": "demo [red]"})
    assert result.exit_code == 0, result.output
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in result.stdout.splitlines()
        if "│" in line
    ]
    assert [row[0] for row in rows] == [name.file for name in NAMES]
    assert ["model", '"demo [red]"', "environment SEGUE_MODEL"] in rows
    assert ["batch_processing_config.max_batch_size", "8", "default"] in rows


def test_json_has_the_same(tmp_path: Path) -> None:
    """`--json` prints one object: by name, the value and its source."""
    config = tmp_path / "segue.yaml"
    config.write_text("batch_processing_config:\n  max_batch_size: 4\n")
    result = CliRunner().invoke(app, ["check", "--json", "--config", str(config)])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert list(printed) == [name.file for name in NAMES]
    assert printed["batch_processing_config.max_batch_size"] == {
        "value": 4,
        "source": f"file {config}: batch_processing_config.max_batch_size",
    }
    assert printed["engine"] == {"value": "faster-whisper", "source": "default"}


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_password_is_hidden(tmp_path: Path, form: list[str]) -> None:
    """Neither form shows the password, whether it stands in the address or in a file."""
    secret = tmp_path / "secret"
    secret.write_text("S3CRET")
    for env in ({"REDIS_URL": "redis://:S3CRET@h"}, {"REDIS_PASSWORD_FILE": str(secret)}):
        result = CliRunner().invoke(app, ["check", *form], env=env)
        assert result.exit_code == 0, result.output
        assert "redis_url" in result.stdout
        assert "S3CRET" not in result.output


def test_mistakes_go_to_stderr_and_end_with_2() -> None:
    """With mistakes, nothing is printed but one line for each, on stderr, and the exit code is 2."""
    env = {"SEGUE_MODLE": "demo", "SEGUE_DEVICE": "gpu"}
    result = CliRunner().invoke(app, ["check"], env=env)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "segue: environment SEGUE_MODLE is unknown: did you mean SEGUE_MODEL?",
        "environment SEGUE_DEVICE is 'gpu': expected one of auto, cpu, cuda",
    ]


def test_file_named_by_the_environment_is_read(tmp_path: Path) -> None:
    """`SEGUE_CONFIG` names the file, as for every other process of ours."""
    config = tmp_path / "segue.toml"
    config.write_text("model = 'demo'\n")
    result = CliRunner().invoke(app, ["check", "--json"], env={"SEGUE_CONFIG": str(config)})
    assert json.loads(result.stdout)["model"] == {"value": "demo", "source": f"file {config}: model"}


def test_models_are_shown_and_judged(tmp_path: Path) -> None:
    """Several models are one line of the report, and each mistake in one of them is a line of its own."""
    config = tmp_path / "segue.yaml"
    config.write_text("models: {fast: tiny, quality: {model: large-v3, device: cuda}}\n")
    shown = json.loads(CliRunner().invoke(app, ["check", "--config", str(config), "--json"]).stdout)
    assert shown["models"]["value"] == {
        "fast": {"model": "tiny"},
        "quality": {"model": "large-v3", "device": "cuda"},
    }
    assert shown["model"] == {"value": "fast", "source": "default"}
    config.write_text("model: small\nmodels: {fast: tiny, quality: {model: large-v3, device: gpu}}\n")
    wrong = CliRunner().invoke(app, ["check", "--config", str(config)])
    assert wrong.exit_code == 2
    assert wrong.stderr.splitlines() == [
        f"segue: file {config}: models.quality.device is 'gpu': expected one of auto, cpu, cuda"
    ]
    config.write_text("model: small\nmodels: {fast: tiny, quality: large-v3}\n")
    wrong = CliRunner().invoke(app, ["check", "--config", str(config)])
    assert wrong.stderr.splitlines() == [
        f"segue: file {config}: model is 'small': expected one of fast, quality, the names in models"
    ]
