"""`segue worker`: Celery's own worker with our settings, in place of this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit, ended

if TYPE_CHECKING:
    from workers.settings import Loaded


def worker(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML or TOML file with settings; `segue config check` explains it.", metavar="FILE"
        ),
    ] = None,
    redis_url: Annotated[str | None, typer.Option(help="Where Redis is.", metavar="URL")] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="faster-whisper, torch or fake; or module:Class, your own.", metavar="NAME"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A size such as small, a hub id, a folder, or demo for the packaged one.", metavar="MODEL"
        ),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(help="Several, by the names that requests may ask for.", metavar="NAME=MODEL,…"),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.", metavar="NAME")] = None,
    compute_type: Annotated[
        str | None, typer.Option(help="auto, float32, int8_float16, …", metavar="TYPE")
    ] = None,
    batching_enabled: Annotated[
        bool | None, typer.Option("--batching-enabled/--no-batching", help="Or one by one.")
    ] = None,
    max_batch_size: Annotated[
        str | None, typer.Option(help="Most requests in one engine call.", metavar="N")
    ] = None,
    min_batch_size: Annotated[
        str | None, typer.Option(help="How many must wait before an idle engine starts.", metavar="N")
    ] = None,
    max_batch_wait_ms: Annotated[
        str | None, typer.Option(help="But none waits longer than this.", metavar="MS")
    ] = None,
    metrics_address: Annotated[
        str | None, typer.Option(help="Where Prometheus may ask: 127.0.0.1:9090.", metavar="HOST:PORT")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.", metavar="LEVEL")
    ] = None,
) -> None:
    """Run a worker: Redis in, batches through the engine, Redis out.

    Every option has an environment variable (SEGUE_MODEL, SEGUE_MAX_BATCH_SIZE, …) and a name in the
    file; options win over the environment, and that over the file.

    Whatever else is given goes to Celery's worker as it stands, for example
    segue worker --model small --hostname gpu1@%h --pidfile /run/segue.pid.
    """
    flags = {
        "redis_url": redis_url,
        "engine": engine,
        "model": model,
        "models": models,
        "device": device,
        "compute_type": compute_type,
        "batching_enabled": batching_enabled,
        "max_batch_size": max_batch_size,
        "min_batch_size": min_batch_size,
        "max_batch_wait_ms": max_batch_wait_ms,
        "metrics_address": metrics_address,
        "log_level": log_level,
    }
    environ = {**os.environ, **checked_environment(config, flags)}
    command = worker_command(environ.get("SEGUE_LOG_LEVEL", "INFO"), context.args)
    os.execve(command[0], command, environ)  # noqa: S606 - signals then reach Celery directly


def worker_command(log_level: str, extra: list[str]) -> list[str]:
    """The command line of a worker; options in `extra` come last and so have the last word."""
    program = [sys.executable, "-m", "celery", "-A", "workers", "worker"]
    return [*program, "--task-events", "--loglevel", log_level, "--hostname", "segue@%h", *extra]


def checked_environment(config: Path | None, flags: Mapping[str, object]) -> dict[str, str]:
    """The variables by which the worker will read what was given here.

    Raises:
        typer.Exit: some setting is wrong, wherever it was given; every mistake has been named.
    """
    checked_settings(config, flags)
    return variables_of(config, flags)


def checked_settings(config: Path | None, flags: Mapping[str, object]) -> Loaded:
    """The settings that a worker will have. Raises `typer.Exit` as `checked_environment` does."""
    from workers.settings import SettingsError, load

    try:
        return load(config, flags=flags, environ=os.environ)
    except SettingsError as mistakes:
        raise ended(Exit.USAGE, mistakes) from None


def variables_of(config: Path | None, flags: Mapping[str, object]) -> dict[str, str]:
    """The variables that say what these flags, and the file, say."""
    from workers.settings import NAMES
    from workers.settings_sources import CONFIG_VARIABLE

    variables = {name.env: str(flags[name.flag]) for name in NAMES if flags.get(name.flag) is not None}
    return {**variables, **({CONFIG_VARIABLE: str(config)} if config else {})}
