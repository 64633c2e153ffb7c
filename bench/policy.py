"""What the simulations found, for reading: tables, or one JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from bench.simulation.contest import BENTOML, LARGEST, SEGUE
from bench.simulation.study import COSTS, LOADS, QUIET, WHISPER, Study
from bench.simulation.summary import Summary
from bench.simulation.targets import targets


def as_json(found: Study) -> dict[str, Any]:
    """Everything, with the targets; times in seconds."""
    reached = [asdict(target) for target in targets(found)]
    return {"cost": asdict(WHISPER), "max_batch_size": LARGEST, **asdict(found), "targets": reached}


def tables_of(found: Study) -> Iterator[RenderableType]:
    """Everything worth showing, top to bottom."""
    seeds = ", ".join(str(seed) for seed in found.seeds)
    yield (
        f"{WHISPER.base * 1000:.0f} + {WHISPER.each * 1000:.0f}·n ms for a batch of n, n up to {LARGEST};"
        f" {found.items} requests for each of the seeds {seeds}.\n"
        "Latencies in ms, from enqueued to the end of the batch; – where the queue grows without end."
    )
    for figure in ("mean", "p50", "p99"):
        yield _latencies(f"Independent requests: {figure} by load", found.poisson, figure)
    for load, table in found.bursts.items():
        yield _latencies(f"Bursts of four, load {load}: mean by gap in seconds", table, "mean")
    yield _latencies("Lengths of 1 to 30 s: mean by load", found.lengths, "mean")
    yield _distances(found)
    yield _estimates(found)
    yield (
        f"Mean of the first {QUIET} quiet requests after congestion:"
        f" {SEGUE} {found.after_congestion[SEGUE] * 1000:.0f} ms,"
        f" {BENTOML} {found.after_congestion[BENTOML] * 1000:.0f} ms\n"
    )
    yield _targets(found)


def _latencies(title: str, table: Mapping[str, Mapping[float, Summary]], figure: str) -> Table:
    shown = _table(title, "policy", *(f"{column:g}" for column in next(iter(table.values()))))
    for name, summaries in table.items():
        shown.add_row(name, *(_milliseconds(summary, figure) for summary in summaries.values()))
    return shown


def _milliseconds(summary: Summary, figure: str) -> str:
    return f"{getattr(summary, figure) * 1000:.0f}" if summary.stable else "–"


def _distances(found: Study) -> Table:
    title = f"{SEGUE}: mean over that of the best possible, by load"
    shown = _table(title, "call/item, the best", *(f"{load:g}" for load in LOADS))
    for ratio in COSTS:
        by_load = found.distances[ratio].values()
        shown.add_row(f"{ratio}, without foresight", *(f"{one.online:.3f}" for one in by_load))
        shown.add_row(f"{ratio}, clairvoyant", *(f"{one.clairvoyant:.3f}" for one in by_load))
    return shown


def _estimates(found: Study) -> Table:
    shown = _table("Error of predicted durations", "scenario", "Segue", "BentoML")
    for name, errors in found.estimates.items():
        shown.add_row(name, f"{errors.ours:.1%}", f"{errors.bentoml:.1%}")
    return shown


def _targets(found: Study) -> Table:
    shown = Table("row", "target", "got", "", title="Targets", title_justify="left")
    for target in targets(found):
        verdict = "reached" if target.is_reached else f"not reached: {target.because}".rstrip(": ")
        shown.add_row(str(target.row), target.asked, target.got, verdict)
    return shown


def _table(title: str, first: str, *headings: str) -> Table:
    shown = Table(first, title=title, title_justify="left")
    for heading in headings:
        shown.add_column(heading, justify="right", no_wrap=True)
    return shown
