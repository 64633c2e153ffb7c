"""What the benchmarks have in common: a Redis of their own, and figures to show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.status import Status

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@contextmanager
def own_redis(work: str) -> Iterator[tuple[str, Path]]:
    """A Redis for one benchmark, and a folder for its logs; says on a terminal that it takes time."""
    from tempfile import TemporaryDirectory

    from cli.local_redis import LocalRedis

    with LocalRedis() as server, TemporaryDirectory() as folder, doing(work):
        yield server.url, Path(folder)


def doing(work: str) -> Status:
    """Says on a terminal what goes on, and that it does, for as long as the context lasts."""
    return Console(stderr=True).status(work)


def show(found: dict[str, Any], *, as_json: bool) -> None:
    """Print figures by their names."""
    if as_json:
        print_json(found)
    else:
        Console(markup=False).print(found)


def rounded(figures: Mapping[str, float], digits: int = 2) -> dict[str, float]:
    """`figures` with so many digits behind the point."""
    return {name: round(figure, digits) for name, figure in figures.items()}


def print_json(found: object) -> None:
    """Print one JSON value."""
    typer.echo(json.dumps(found, indent=2))


def print_tables(tables: Iterable[RenderableType], width: int | None = None) -> None:
    """Print `tables` one below the other."""
    console = Console(markup=False, highlight=False, width=width)
    for table in tables:
        console.print(table)
