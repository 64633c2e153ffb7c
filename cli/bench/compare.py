"""`segue bench engine`, `idle`, `overhead`, `submitting`, `overlap`, `lengths`, `queue`: compared."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.bench.showing import AsJson, doing, own_redis, print_json, print_tables, rounded, show
from cli.exits import Exit, ended


def engine(
    as_json: AsJson = False,
    clips: Annotated[
        int, typer.Option(help="Audio segments of 1 to 4 s.", min=1, max=1000, metavar="N")
    ] = 32,
    rounds: Annotated[
        int, typer.Option(help="How often each way runs; medians are shown.", min=1, metavar="N")
    ] = 3,
) -> None:
    """Compare the engine with faster-whisper; takes minutes.

    Alone and batched. The packaged model on this machine's cores, every way in turn in each round.
    Compare within one run only: what else the machine does is in all figures alike.
    """
    from bench.engine import TABLE_SAMPLES, measure
    from bench.figures import as_json as whole
    from bench.tables import tables_of

    with doing("loading") as status:
        measured = measure(clips, rounds, status.update)
    if as_json:
        print_json(whole(measured, TABLE_SAMPLES))
        return
    print_tables(tables_of(measured))


def idle(
    round_trips: Annotated[int, typer.Option(help="How often each is asked.", min=100, metavar="N")] = 300,
    seconds: Annotated[float, typer.Option(help="How long both are left alone.", min=1, metavar="X")] = 20.0,
    as_json: AsJson = False,
) -> None:
    """Compare how soon an idle worker answers with stock Celery.

    And what it costs to wait.
    """
    from dataclasses import asdict

    from bench.idle import measure

    with own_redis("asking in turns") as (redis_url, folder):
        found = measure(redis_url, folder, round_trips=round_trips, idle_seconds=seconds)
    show(asdict(found) | rounded(found.ratios) | {"missed": found.missed}, as_json=as_json)


def overhead(
    messages: Annotated[
        int, typer.Option(help="Messages that each worker drains.", min=100, metavar="N")
    ] = 5_000,
    rounds: Annotated[
        int, typer.Option(help="How often each runs; medians are shown.", min=1, metavar="N")
    ] = 3,
    as_json: AsJson = False,
) -> None:
    """Compare what a message costs with stock Celery's.

    And with celery-batches', engine aside. celery-batches needs an older Celery: the first run installs
    both, with pip, in the user's cache.
    """
    from dataclasses import asdict

    from bench.overhead import TooFew, measure

    with own_redis("draining") as (redis_url, folder):
        try:
            found = measure(redis_url, folder, messages=messages, rounds=rounds)
        except TooFew as error:
            raise ended(Exit.USAGE, f"--messages: {error}") from None
    if found.absent:
        typer.echo(found.absent, err=True)
    show(asdict(found) | rounded(found.ratios) | {"missed": found.missed}, as_json=as_json)


def submitting(
    requests: Annotated[
        int, typer.Option(help="Requests that each way sends and collects.", min=10, metavar="N")
    ] = 2_000,
    rounds: Annotated[
        int, typer.Option(help="How often each runs; medians are shown.", min=1, metavar="N")
    ] = 5,
    as_json: AsJson = False,
) -> None:
    """Compare what sending costs with stock Celery's loops."""
    from dataclasses import asdict

    from bench.submitting import measure

    with own_redis("submitting and collecting") as (redis_url, folder):
        found = measure(redis_url, folder, requests=requests, rounds=rounds)
    show(asdict(found) | rounded(found.ratios), as_json=as_json)


def overlap(
    requests: Annotated[int, typer.Option(help="How many run in each round.", min=16, metavar="N")] = 400,
    rounds: Annotated[
        int, typer.Option(help="How often each runs; medians are shown.", min=1, metavar="N")
    ] = 3,
    as_json: AsJson = False,
) -> None:
    """Compare preparing ahead with preparing each batch in its turn."""
    from dataclasses import asdict

    from bench.overlap import measure

    with own_redis("running all requests, with and without looking ahead") as (redis_url, folder):
        found = measure(redis_url, folder, requests=requests, rounds=rounds)
    show(asdict(found) | rounded(found.ratios), as_json=as_json)


def lengths(
    load: Annotated[
        float, typer.Option(help="Over what first come first served can bear.", min=0.1, max=2.0, metavar="X")
    ] = 1.2,
    requests: Annotated[int, typer.Option(help="How many run on each.", min=200, metavar="N")] = 800,
    as_json: AsJson = False,
) -> None:
    """Compare claiming by name with claiming in order.

    For speech of different lengths, on a live worker, whose fake engine pads to the longest, and in the
    simulator.
    """
    from dataclasses import asdict

    from bench.lengths import measure

    with own_redis("running all requests, claimed by name and in order") as (redis_url, folder):
        found = measure(redis_url, folder, load=load, requests=requests)
    show(asdict(found), as_json=as_json)


def queue(
    requests: Annotated[
        int,
        typer.Option(
            help="Audio segments at the bucketed context; a tenth as many at the full one.", min=640
        ),
    ] = 2_000,
    rounds: Annotated[
        int, typer.Option(help="How often each runs; medians are shown.", min=1, metavar="N")
    ] = 3,
    as_json: AsJson = False,
) -> None:
    """Compare the whole way, saturated, with the bare engine.

    From submit to result; the engine in batches of the same size.
    """
    from dataclasses import asdict

    from bench.queue_ratio import measure

    with own_redis("draining") as (redis_url, folder):
        found = measure(
            redis_url, folder, requests={"full": requests // 10, "bucketed": requests}, rounds=rounds
        )
    ratios = {name: {"ratio": each.ratio, "cpu_ratio": each.cpu_ratio} for name, each in found.items()}
    show({name: asdict(each) | rounded(ratios[name]) for name, each in found.items()}, as_json=as_json)
