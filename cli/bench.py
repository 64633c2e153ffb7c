"""`segue bench`: what is faster than what, and by how much, on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
    engine_kills: Annotated[int, typer.Option(help="Engine processes to kill.", min=0)] = 3,
    engine_freezes: Annotated[int, typer.Option(help="Engine processes to stop for good.", min=0)] = 1,
    resets: Annotated[int, typer.Option(help="Times that all connections are cut.", min=0)] = 6,
    pauses: Annotated[int, typer.Option(help="Times that Redis answers nobody for 2.5 s.", min=0)] = 1,
    redis_kills: Annotated[int, typer.Option(help="Times that Redis is killed and started.", min=0)] = 1,
    partitions: Annotated[int, typer.Option(help="Times that a worker is silently cut off.", min=0)] = 1,
    partition_seconds: Annotated[float, typer.Option(help="How long it is cut off.", min=0.1)] = 15.0,
    junk: Annotated[int, typer.Option(help="Messages to push that make no sense.", min=0)] = 10,
    fills: Annotated[int, typer.Option(help="Times that Redis has no memory for 2.5 s.", min=0)] = 1,
    full_disks: Annotated[int, typer.Option(help="Times that its disk is full for 2.5 s.", min=0)] = 1,
    crashes: Annotated[int, typer.Option(help="Requests that crash their engine.", min=0)] = 1,
    hangs: Annotated[int, typer.Option(help="Requests that hang their engine.", min=0)] = 1,
    refusals: Annotated[int, typer.Option(help="Requests that an engine refuses.", min=0)] = 20,
    failures: Annotated[int, typer.Option(help="Requests at which an engine raises.", min=0)] = 20,
    twice: Annotated[int, typer.Option(help="Requests submitted twice.", min=0)] = 20,
    conflicts: Annotated[int, typer.Option(help="Ids submitted again with other audio.", min=0)] = 20,
    copies: Annotated[int, typer.Option(help="Messages pushed twice by a stranger.", min=0)] = 20,
    cancels: Annotated[int, typer.Option(help="Requests cancelled at once.", min=0)] = 30,
    expiries: Annotated[int, typer.Option(help="Requests that expire after 0.2 s.", min=0)] = 30,
    workers: Annotated[int, typer.Option(help="Workers at a time.", min=1)] = 3,
    rate: Annotated[float, typer.Option(help="Requests submitted per second.", min=1)] = 120.0,
    seed: Annotated[int, typer.Option(help="The same seed strikes at the same moments.")] = 1,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the history and all logs here.", file_okay=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Kill, freeze and cut under load, and account for every request; exit status 1 if one is amiss.

    Workers with the fake engine on a Redis of their own. What happened is judged by the history of all
    operations and by Redis's append-only file, not by the results alone.
    """
    from dataclasses import asdict, fields
    from tempfile import TemporaryDirectory

    from bench.aims import aims
    from bench.faults import run
    from bench.faults_table import tables_of
    from bench.hardened import survives_full_disk
    from bench.storm import Plan
    from cli.local_redis import LocalRedis

    asked = dict(locals())
    plan = Plan(**{one.name: asked[one.name] for one in fields(Plan)})
    if (special := plan.special.total()) > requests:
        raise ended(Exit.USAGE, f"{special} special requests are asked for, of {requests} in all")
    status = Console(stderr=True).status("a storm is blowing")
    with TemporaryDirectory() as temporary, survives_full_disk(), LocalRedis() as server, status:
        kept = folder or Path(temporary)
        kept.mkdir(parents=True, exist_ok=True)
        ledger = run(plan, server, kept.resolve())
    if as_json:
        rows = [asdict(row) | {"is_reached": row.is_reached} for row in aims(plan, ledger)]
        typer.echo(json.dumps({"plan": asdict(plan), "ledger": asdict(ledger), "aims": rows}, indent=2))
    else:
        console = Console(markup=False, highlight=False)
        for part in tables_of(plan, ledger):
            console.print(part)
    raise typer.Exit(0 if ledger.is_clean else 1)


@app.command()
def idle(
    round_trips: Annotated[int, typer.Option(help="How often each is asked.", min=100)] = 300,
    seconds: Annotated[float, typer.Option(help="How long both are left alone.", min=1)] = 20.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare with stock Celery how soon an idle worker answers, and what it costs to wait."""
    from dataclasses import asdict

    from bench.idle import measure

    with _own_redis("asking in turns") as (redis_url, folder):
        found = measure(redis_url, folder, round_trips=round_trips, idle_seconds=seconds)
    _show(asdict(found) | _rounded(found.ratios) | {"missed": found.missed}, as_json=as_json)


@app.command()
def junk(
    messages: Annotated[int, typer.Option(help="Messages that make no sense.", min=1)] = 10_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Push junk on the queue; exit status 1 if the worker ends of it. Says how soon others are answered."""
    from dataclasses import asdict

    from bench.junk import measure

    with _own_redis("clearing away") as (redis_url, folder):
        found = measure(redis_url, folder, messages=messages)
    _show(asdict(found), as_json=as_json)
    raise typer.Exit(min(1, found.exits))


@app.command()
def memory(
    batches: Annotated[int, typer.Option(help="Batches that one process runs.", min=1)] = 10_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Weigh an engine process: by the row of a batch, and over many batches; exit status 1 if it grows."""
    from dataclasses import asdict

    from bench.memory import of_rows, over_batches

    with Console(stderr=True).status("loading") as status:
        rows = of_rows(status.update)
        looks = over_batches(batches, status.update)
    found = {
        "rows": [asdict(one) | {"bytes_a_row": round(one.bytes_a_row)} for one in rows],
        "batches": looks.looks,
        "growth": round(looks.growth, 4),
        "is_flat": looks.is_flat,
    }
    _show(found, as_json=as_json)
    raise typer.Exit(0 if looks.is_flat else 1)


@app.command()
def overlap(
    requests: Annotated[int, typer.Option(help="How many run in each round.", min=16)] = 400,
    rounds: Annotated[int, typer.Option(help="How often each runs; medians are shown.", min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare preparing ahead of the engine with preparing each batch in its turn."""
    from dataclasses import asdict

    from bench.overlap import measure

    with _own_redis("running all requests, with and without looking ahead") as (redis_url, folder):
        found = measure(redis_url, folder, requests=requests, rounds=rounds)
    _show(asdict(found) | _rounded(found.ratios), as_json=as_json)


@app.command()
def overhead(
    messages: Annotated[int, typer.Option(help="Messages that each worker drains.", min=100)] = 5_000,
    rounds: Annotated[int, typer.Option(help="How often each runs; medians are shown.", min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare what a message costs with stock Celery and celery-batches, engine aside.

    celery-batches needs an older Celery: the first run installs both, with pip, in the user's cache.
    """
    from dataclasses import asdict

    from bench.overhead import measure

    with _own_redis("draining") as (redis_url, folder):
        found = measure(redis_url, folder, messages=messages, rounds=rounds)
    if found.absent:
        typer.echo(found.absent, err=True)
    _show(asdict(found) | _rounded(found.ratios) | {"missed": found.missed}, as_json=as_json)


@app.command()
def policy(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw latency against load: a PNG file. Needs the extra `bench`.", dir_okay=False),
    ] = None,
    items: Annotated[int, typer.Option(help="Requests in each simulation.", min=5000)] = 10_000,
    seeds: Annotated[int, typer.Option(help="How often each is drawn.", min=1)] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="5 000 requests, drawn once.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables for a document.")] = False,
    real_peers: Annotated[
        bool,
        typer.Option("--real-peers", help="Only compare the rewritten peers with their own code."),
    ] = False,
) -> None:
    """Compare the batching policy with other servers' in simulated time; takes minutes.

    The batcher of the worker itself, against what is known of when the others dispatch, and against the
    best that is possible. The same seeds give the same figures, but for the time that a decision takes.

    With --real-peers, the own code of BentoML, Ray Serve and celery-batches runs in simulated time beside
    what stands for it here: the first run installs them, with pip, in the user's cache (700 MB).
    """
    if real_peers:
        _compare_peers(as_json=as_json)
        return
    if plot and not find_spec("matplotlib"):
        raise ended(Exit.USAGE, "--plot needs matplotlib: pip install 'segue[bench]'")
    if plot and not plot.parent.is_dir():
        raise ended(Exit.USAGE, f"--plot is {plot}: there is no directory {plot.parent}")
    from bench.policy import as_json as whole
    from bench.policy import in_markdown, tables_of
    from bench.simulation.study import study

    with Console(stderr=True).status("simulating") as status:
        drawn = (5_000, (1,)) if quick else (items, tuple(range(1, seeds + 1)))
        found = study(*drawn, status.update)
    if plot:
        from bench.simulation.picture import draw

        draw(found, plot)
    if as_json:
        typer.echo(json.dumps(whole(found), indent=2))
        return
    console = Console(markup=False, highlight=False, width=200 if markdown else None)
    for part in tables_of(found, wide=markdown):
        console.print(in_markdown(part) if markdown else part)


@app.command()
def queue(
    requests: Annotated[
        int,
        typer.Option(
            help="Audio segments at the bucketed context; a tenth as many at the full one.", min=640
        ),
    ] = 2_000,
    rounds: Annotated[int, typer.Option(help="How often each runs; medians are shown.", min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare submit → result, saturated, with the bare engine in batches of the same size."""
    from dataclasses import asdict

    from bench.queue_ratio import measure

    with _own_redis("draining") as (redis_url, folder):
        found = measure(
            redis_url, folder, requests={"full": requests // 10, "bucketed": requests}, rounds=rounds
        )
    ratios = {name: {"ratio": each.ratio, "cpu_ratio": each.cpu_ratio} for name, each in found.items()}
    _show({name: asdict(each) | _rounded(ratios[name]) for name, each in found.items()}, as_json=as_json)


@app.command()
def recording(
    hours: Annotated[float, typer.Option(help="How long it is.", min=0.01, max=24)] = 2.0,
    clients: Annotated[int, typer.Option(help="Others that keep the worker busy.", min=0)] = 4,
    split: Annotated[str, typer.Option(help="vad, energy or fixed.")] = "vad",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Transcribe a long recording of known sentences, and say how far off the times are."""
    from dataclasses import asdict

    from bench.recording import measure
    from producer.reading import Plan

    plan = Plan(split=split)  # type: ignore[arg-type]  # it refuses what is none
    with _own_redis("transcribing") as (redis_url, folder):
        found = measure(redis_url, folder, seconds=3_600 * hours, clients=clients, split=plan.split)
    _show(asdict(found), as_json=as_json)


@app.command()
def replay(
    requests: Annotated[int, typer.Option(help="Requests of each trace.", min=100)] = 600,
    seed: Annotated[int, typer.Option(help="The same seed gives the same traces.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay recorded arrivals against a worker and the simulator; exit status 1 if they do not agree.

    The fake engine, whose batches take 100 ms and more. Agree means p50 and p99 within 15 %. Wants a quiet
    machine: what else it does is in the worker's figures only.
    """
    from dataclasses import asdict

    from bench.replay import measure, rows

    with _own_redis("replaying") as (redis_url, folder):
        found = measure(redis_url, folder, requests=requests, seed=seed)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        typer.echo("\n".join(rows(found)))
    raise typer.Exit(0 if all(one.agrees for one in found.traces) else 1)


@app.command()
def soak(
    requests: Annotated[int, typer.Option(help="Audio segments to send.", min=2_000)] = 200_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Watch the memory of a worker and its Redis over many requests; exit status 1 if it grows."""
    from dataclasses import asdict

    from bench.soak import measure

    with _own_redis("soaking") as (redis_url, folder):
        found = measure(redis_url, folder, requests=requests)
    said = {"growth": _rounded(found.growth, 4), "keys_left": found.keys_left, "is_flat": found.is_flat}
    _show(asdict(found) | said, as_json=as_json)
    raise typer.Exit(0 if found.is_flat else 1)


@app.command()
def submitting(
    requests: Annotated[int, typer.Option(help="Requests that each way sends and collects.", min=10)] = 2_000,
    rounds: Annotated[int, typer.Option(help="How often each runs; medians are shown.", min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare what many requests cost a producer with stock Celery's loops."""
    from dataclasses import asdict

    from bench.submitting import measure

    with _own_redis("submitting and collecting") as (redis_url, folder):
        found = measure(redis_url, folder, requests=requests, rounds=rounds)
    _show(asdict(found) | _rounded(found.ratios), as_json=as_json)


def _compare_peers(*, as_json: bool) -> None:
    """Each peer's own code beside what stands for it in the simulator."""
    from dataclasses import asdict
    from subprocess import SubprocessError
    from tempfile import TemporaryDirectory

    from bench.elsewhere import NotInstalled
    from bench.policy import peers_table
    from bench.simulation.theirs.comparing import compare

    try:
        with TemporaryDirectory() as folder, Console(stderr=True).status("comparing") as status:
            found = list(compare(Path(folder), 1, status.update))
    except (NotInstalled, SubprocessError) as error:
        raise ended(Exit.FAILED, str(error)) from error
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
    else:
        Console(markup=False, highlight=False).print(peers_table(found))


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


def _rounded(figures: Mapping[str, float], digits: int = 2) -> dict[str, float]:
    return {name: round(figure, digits) for name, figure in figures.items()}
