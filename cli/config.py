"""`segue config`: what is set, and where."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from cli.exits import Exit, ended
from cli.saying import say
from workers.settings import Loaded, SettingsError, load

#: Columns of a table in a file or pipe, which has no edge to break lines at.
WIDE = 1_000

app = typer.Typer(
    name="config",
    help="Show what is set, and where.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,  # `segue` itself does that
)


@app.callback()
def config() -> None:
    """Show what is set, and where."""


@app.command()
def check(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Settings file, YAML or TOML.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the settings a worker started here would have.

    Exit status 2 if any is wrong: every mistake is named, with where it was made.
    """
    try:
        loaded = load(config, flags={}, environ=os.environ)
    except SettingsError as error:
        raise ended(Exit.USAGE, error) from None
    if as_json:
        say(_as_json(loaded))
    else:
        width = None if sys.stdout.isatty() else WIDE
        Console(markup=False, highlight=False, width=width).print(_as_table(loaded))


def _as_json(loaded: Loaded) -> str:
    return json.dumps(
        {name: {"value": value, "source": source} for name, value, source in loaded.shown()}, indent=2
    )


def _as_table(loaded: Loaded) -> Table:
    table = Table(
        Column("name", no_wrap=True), Column("value", overflow="fold"), Column("source", overflow="fold")
    )
    for name, value, source in loaded.shown():
        table.add_row(name, json.dumps(value, ensure_ascii=False), source)
    return table
