"""`segue bench policy` and `replay`: when batches start, in simulated time and beside a real worker."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from cli.bench.showing import AsJson, doing, own_redis, print_json, print_tables
from cli.exits import Exit, ended


def policy(
    as_json: AsJson = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw latency against load: a PNG file. Needs the extra `bench`.", dir_okay=False),
    ] = None,
    items: Annotated[int, typer.Option(help="Requests in each simulation.", min=5000, metavar="N")] = 10_000,
    seeds: Annotated[int, typer.Option(help="How often each is drawn.", min=1, metavar="N")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="5 000 requests, drawn once.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables for a document.")] = False,
    real_peers: Annotated[
        bool,
        typer.Option("--real-peers", help="Only compare the rewritten peers with their own code."),
    ] = False,
) -> None:
    """Compare the batching policy with other servers'.

    In simulated time; takes minutes. The batcher of the worker itself, against what is known of when
    the others dispatch, and against the best that is possible. The same seeds give the same figures,
    but for the time that a decision takes.

    With --real-peers, the own code of BentoML, Ray Serve and celery-batches runs in simulated time
    beside what stands for it here: the first run installs them, with pip, in the user's cache (700 MB).
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

    with doing("simulating") as status:
        drawn = (5_000, (1,)) if quick else (items, tuple(range(1, seeds + 1)))
        found = study(*drawn, status.update)
    if plot:
        from bench.simulation.picture import draw

        draw(found, plot)
    if as_json:
        print_json(whole(found))
        return
    tables = [in_markdown(one) if markdown else one for one in tables_of(found, wide=markdown)]
    print_tables(tables, width=200 if markdown else None)


def replay(
    requests: Annotated[int, typer.Option(help="Requests of each trace.", min=100, metavar="N")] = 600,
    seed: Annotated[int, typer.Option(help="The same seed gives the same traces.", metavar="N")] = 1,
    as_json: AsJson = False,
) -> None:
    """Replay arrivals against a worker and the simulator.

    Exit status 1 if they do not agree. The fake engine, whose batches take 100 ms and more. Agree means
    p50 and p99 within 15 %. Wants a quiet machine: what else it does is in the worker's figures only.
    """
    from dataclasses import asdict

    from bench.replay import measure, rows

    with own_redis("replaying") as (redis_url, folder):
        found = measure(redis_url, folder, requests=requests, seed=seed)
    if as_json:
        print_json(asdict(found))
    else:
        typer.echo("\n".join(rows(found)))
    raise typer.Exit(0 if all(one.agrees for one in found.traces) else 1)


def _compare_peers(*, as_json: bool) -> None:
    """Each peer's own code beside what stands for it in the simulator."""
    from dataclasses import asdict
    from subprocess import SubprocessError
    from tempfile import TemporaryDirectory

    from bench.elsewhere import NotInstalled
    from bench.policy import peers_table
    from bench.simulation.theirs.comparing import compare

    try:
        with TemporaryDirectory() as folder, doing("comparing") as status:
            found = list(compare(Path(folder), 1, status.update))
    except (NotInstalled, SubprocessError) as error:
        raise ended(Exit.FAILED, str(error)) from error
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        print_tables([peers_table(found)])
