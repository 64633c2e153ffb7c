"""`segue bench faults`, `junk`, `memory`, `soak`, `recording`: what must hold, whatever happens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.bench.showing import AsJson, doing, own_redis, print_json, print_tables, rounded, show
from cli.exits import Exit, ended


def faults(
    requests: Annotated[int, typer.Option(help="Audio segments to submit.", min=1, metavar="N")] = 3_000,
    kills: Annotated[int, typer.Option(help="Workers to kill.", min=0, metavar="N")] = 9,
    freezes: Annotated[
        int, typer.Option(help="Workers to stop for longer than their lease.", min=0, metavar="N")
    ] = 1,
    engine_kills: Annotated[int, typer.Option(help="Engine processes to kill.", min=0, metavar="N")] = 3,
    engine_freezes: Annotated[
        int, typer.Option(help="Engine processes to stop for good.", min=0, metavar="N")
    ] = 1,
    resets: Annotated[int, typer.Option(help="Times that all connections are cut.", min=0, metavar="N")] = 6,
    pauses: Annotated[
        int, typer.Option(help="Times that Redis answers nobody for 2.5 s.", min=0, metavar="N")
    ] = 1,
    redis_kills: Annotated[
        int, typer.Option(help="Times that Redis is killed and started.", min=0, metavar="N")
    ] = 1,
    partitions: Annotated[
        int, typer.Option(help="Times that a worker is silently cut off.", min=0, metavar="N")
    ] = 1,
    partition_seconds: Annotated[
        float, typer.Option(help="How long it is cut off.", min=0.1, metavar="X")
    ] = 15.0,
    junk: Annotated[int, typer.Option(help="Messages to push that make no sense.", min=0, metavar="N")] = 10,
    fills: Annotated[
        int, typer.Option(help="Times that Redis has no memory for 2.5 s.", min=0, metavar="N")
    ] = 1,
    full_disks: Annotated[
        int, typer.Option(help="Times that its disk is full for 2.5 s.", min=0, metavar="N")
    ] = 1,
    crashes: Annotated[int, typer.Option(help="Requests that crash their engine.", min=0, metavar="N")] = 1,
    hangs: Annotated[int, typer.Option(help="Requests that hang their engine.", min=0, metavar="N")] = 1,
    refusals: Annotated[int, typer.Option(help="Requests that an engine refuses.", min=0, metavar="N")] = 20,
    failures: Annotated[
        int, typer.Option(help="Requests at which an engine raises.", min=0, metavar="N")
    ] = 20,
    twice: Annotated[int, typer.Option(help="Requests submitted twice.", min=0, metavar="N")] = 20,
    conflicts: Annotated[
        int, typer.Option(help="Ids submitted again with other audio.", min=0, metavar="N")
    ] = 20,
    copies: Annotated[
        int, typer.Option(help="Messages pushed twice by a stranger.", min=0, metavar="N")
    ] = 20,
    cancels: Annotated[int, typer.Option(help="Requests cancelled at once.", min=0, metavar="N")] = 30,
    expiries: Annotated[int, typer.Option(help="Requests that expire after 0.2 s.", min=0, metavar="N")] = 30,
    workers: Annotated[int, typer.Option(help="Workers at a time.", min=1, metavar="N")] = 3,
    rate: Annotated[float, typer.Option(help="Requests submitted per second.", min=1, metavar="X")] = 120.0,
    seed: Annotated[int, typer.Option(help="The same seed strikes at the same moments.", metavar="N")] = 1,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the history and all logs here.", file_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Kill, freeze and cut, and account for every request.

    Exit status 1 if one is amiss. Workers with the fake engine on a Redis of their own. What happened
    is judged by the history of all operations and by Redis's append-only file, not by the results
    alone.
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
    status = doing("a storm is blowing")
    with TemporaryDirectory() as temporary, survives_full_disk(), LocalRedis() as server, status:
        kept = folder or Path(temporary)
        kept.mkdir(parents=True, exist_ok=True)
        ledger = run(plan, server, kept.resolve())
    if as_json:
        rows = [asdict(row) | {"is_reached": row.is_reached} for row in aims(plan, ledger)]
        print_json({"plan": asdict(plan), "ledger": asdict(ledger), "aims": rows})
    else:
        print_tables(tables_of(plan, ledger))
    raise typer.Exit(0 if ledger.is_clean else 1)


def junk(
    messages: Annotated[int, typer.Option(help="Messages that make no sense.", min=1, metavar="N")] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Push junk on the queue, and see whether the worker lives.

    Exit status 1 if it does not. Says how soon others are answered.
    """
    from dataclasses import asdict

    from bench.junk import measure

    with own_redis("clearing away") as (redis_url, folder):
        found = measure(redis_url, folder, messages=messages)
    show(asdict(found), as_json=as_json)
    raise typer.Exit(min(1, found.exits))


def memory(
    batches: Annotated[int, typer.Option(help="Batches that one process runs.", min=1, metavar="N")] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Weigh an engine process: by the row of a batch, and over many.

    Exit status 1 if it grows.
    """
    from dataclasses import asdict

    from bench.memory import of_rows, over_batches

    with doing("loading") as status:
        rows = of_rows(status.update)
        looks = over_batches(batches, status.update)
    found = {
        "rows": [asdict(one) | {"bytes_a_row": round(one.bytes_a_row)} for one in rows],
        "batches": looks.looks,
        "growth": round(looks.growth, 4),
        "is_flat": looks.is_flat,
    }
    show(found, as_json=as_json)
    raise typer.Exit(0 if looks.is_flat else 1)


def soak(
    requests: Annotated[int, typer.Option(help="Audio segments to send.", min=2_000)] = 200_000,
    as_json: AsJson = False,
) -> None:
    """Watch the memory of a worker and its Redis.

    Over many requests; exit status 1 if it grows.
    """
    from dataclasses import asdict

    from bench.soak import measure

    with own_redis("soaking") as (redis_url, folder):
        found = measure(redis_url, folder, requests=requests)
    said = {"growth": rounded(found.growth, 4), "keys_left": found.keys_left, "is_flat": found.is_flat}
    show(asdict(found) | said, as_json=as_json)
    raise typer.Exit(0 if found.is_flat else 1)


def recording(
    hours: Annotated[float, typer.Option(help="How long it is.", min=0.01, max=24, metavar="X")] = 2.0,
    clients: Annotated[int, typer.Option(help="Others that keep the worker busy.", min=0, metavar="N")] = 4,
    split: Annotated[str, typer.Option(help="vad, energy or fixed.")] = "vad",
    as_json: AsJson = False,
) -> None:
    """Transcribe hours of known sentences: are the times right?

    Beside other clients that are busy. Says how much memory it takes, and how long.
    """
    from dataclasses import asdict

    from bench.recording import measure
    from producer.reading import Plan

    plan = Plan(split=split)  # type: ignore[arg-type]  # it refuses what is none
    with own_redis("transcribing") as (redis_url, folder):
        found = measure(redis_url, folder, seconds=3_600 * hours, clients=clients, split=plan.split)
    show(asdict(found), as_json=as_json)
