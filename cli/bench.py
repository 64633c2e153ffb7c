"""`segue bench`: what is faster than what, and by how much, on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.exits import Exit, ended

app = typer.Typer(name="bench", help="Compare, on this machine.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Compare, on this machine."""


@app.command()
def engine(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    clips: Annotated[int, typer.Option(help="Audio segments of 1 to 4 s.", min=1, max=1000)] = 32,
    rounds: Annotated[int, typer.Option(help="How often each way runs; medians are shown.", min=1)] = 3,
) -> None:
    """Compare the engine with faster-whisper, alone and batched; takes minutes.

    The packaged model on this machine's cores, every way in turn in each round. Compare within one run
    only: what else the machine does is in all figures alike.
    """
    from bench.engine import TABLE_SAMPLES, measure
    from bench.figures import as_json as whole
    from bench.tables import tables_of

    with Console(stderr=True).status("loading") as status:
        measured = measure(clips, rounds, status.update)
    if as_json:
        typer.echo(json.dumps(whole(measured, TABLE_SAMPLES), indent=2))
        return
    console = Console(markup=False, highlight=False)
    for part in tables_of(measured):
        console.print(part)


@app.command()
def faults(
    requests: Annotated[int, typer.Option(help="Audio segments to submit.", min=1)] = 3_000,
    kills: Annotated[int, typer.Option(help="Workers to kill.", min=0)] = 9,
    freezes: Annotated[int, typer.Option(help="Workers to stop for longer than their lease.", min=0)] = 1,
    resets: Annotated[int, typer.Option(help="Times that all connections are cut.", min=0)] = 10,
    engine_kills: Annotated[int, typer.Option(help="Engine processes to kill.", min=0)] = 3,
    workers: Annotated[int, typer.Option(help="Workers at a time.", min=1)] = 2,
    rate: Annotated[float, typer.Option(help="Requests submitted per second.", min=1)] = 120.0,
    seed: Annotated[int, typer.Option(help="The same seed strikes at the same moments.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Kill, freeze and cut under load, and account for every request; exit status 1 if one is amiss."""
    from dataclasses import asdict

    from bench.faults import run
    from bench.nemesis import Plan

    plan = Plan(
        requests=requests,
        kills=kills,
        freezes=freezes,
        resets=resets,
        engine_kills=engine_kills,
        workers=workers,
        seed=seed,
        rate=rate,
    )
    with _own_redis("a storm is blowing") as (redis_url, folder):
        ledger = run(plan, redis_url, folder)
    _show({"plan": asdict(plan), "ledger": asdict(ledger)}, as_json=as_json)
    raise typer.Exit(0 if ledger.is_clean else 1)


@app.command()
def overhead(
    messages: Annotated[int, typer.Option(help="Messages that each worker drains.", min=100)] = 5_000,
    rounds: Annotated[int, typer.Option(help="How often each runs; medians are shown.", min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare what a message costs with stock Celery, engine aside."""
    from dataclasses import asdict

    from bench.overhead import measure

    with _own_redis("draining") as (redis_url, folder):
        found = measure(redis_url, folder, messages=messages, rounds=rounds)
    ratios = {"times_cheaper": round(found.cheaper, 2), "times_faster": round(found.faster, 2)}
    _show(asdict(found) | ratios, as_json=as_json)


@app.command()
def policy(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw latency against load: a PNG file. Needs the extra `bench`.", dir_okay=False),
    ] = None,
    items: Annotated[int, typer.Option(help="Requests in each simulation.", min=5000)] = 10_000,
    seeds: Annotated[int, typer.Option(help="How often each is drawn.", min=1)] = 3,
) -> None:
    """Compare the batching policy with other servers' in simulated time; takes minutes.

    The batcher of the worker itself, against what is known of when the others dispatch, and against the
    best that is possible. The same seeds give the same figures.
    """
    if plot and not find_spec("matplotlib"):
        raise ended(Exit.USAGE, "--plot needs matplotlib: pip install 'segue[bench]'")
    if plot and not plot.parent.is_dir():
        raise ended(Exit.USAGE, f"--plot is {plot}: there is no directory {plot.parent}")
    from bench.policy import as_json as whole
    from bench.policy import tables_of
    from bench.simulation.study import study

    with Console(stderr=True).status("simulating") as status:
        found = study(items, tuple(range(1, seeds + 1)), status.update)
    if plot:
        from bench.simulation.picture import draw

        draw(found, plot)
    if as_json:
        typer.echo(json.dumps(whole(found), indent=2))
        return
    console = Console(markup=False, highlight=False)
    for part in tables_of(found):
        console.print(part)


@contextmanager
def _own_redis(doing: str) -> Iterator[tuple[str, Path]]:
    """A Redis for one benchmark, and a folder for its logs; says on a terminal that it takes time."""
    from tempfile import TemporaryDirectory

    from cli.local_redis import LocalRedis

    with LocalRedis() as server, TemporaryDirectory() as folder, Console(stderr=True).status(doing):
        yield server.url, Path(folder)


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        Console(markup=False).print(found)
