"""What the simulations found, for reading: tables, or one JSON object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

from rich.box import MARKDOWN
from rich.console import RenderableType
from rich.table import Table

from bench.simulation.contest import BENTOML, LARGEST, SEGUE, WHISPER
from bench.simulation.studies.deadlines import Served
from bench.simulation.studies.equal import COSTS, LOADS, QUIET
from bench.simulation.study import Study
from bench.simulation.summary import Summary
from bench.simulation.targets import targets
from bench.simulation.theirs.comparing import Comparison


def as_json(found: Study) -> dict[str, Any]:
    """Everything, with the targets; times in seconds."""
    reached = [asdict(target) for target in targets(found)]
    return {"cost": asdict(WHISPER), "max_batch_size": LARGEST, **asdict(found), "targets": reached}


def tables_of(found: Study, *, wide: bool = False) -> Iterator[RenderableType]:
    """Everything worth showing, top to bottom; if `wide`, mean and quantiles share a table."""
    seeds = ", ".join(str(seed) for seed in found.seeds)
    yield (
        f"{WHISPER.base * 1000:.0f} + {WHISPER.each * 1000:.0f}·n ms for a batch of n, n up to {LARGEST};"
        f" {found.items} requests for each of the seeds {seeds}.\n"
        "Latencies in ms, from enqueued to the end of the batch; – where the queue grows without end."
    )
    for figures in _figures("mean", "p50", "p99", wide=wide):
        yield _latencies(f"Independent requests: {figures} by load", found.poisson, figures)
    for load, table in found.bursts.items():
        yield _latencies(f"Bursts of four, load {load}: mean by gap in seconds", table, "mean")
    for figures in _figures("mean", "p99", wide=wide):
        yield _latencies(f"Lengths of 1 to 30 s: {figures} by load of FIFO", found.lengths, figures)
    for objectives, served in found.deadlines.items():
        yield _shares(f"Deadlines of {objectives}: in time by load", served)
    yield from _by_class(found, _figures("mean", "p99", wide=wide))
    yield _fairness(found)
    for count, ways in found.engines.items():
        for figures in _figures("mean", "p99", wide=wide):
            yield _latencies(f"{count} engines on one queue: {figures} by load", ways, figures)
    for figures in _figures("mean", "p99", wide=wide):
        yield _latencies(f"Audio decoded first, 30 ms each: {figures} by load", found.overlap, figures)
    yield _distances(found)
    yield _estimates(found)
    yield (
        f"Mean of the first {QUIET} quiet requests after congestion:"
        f" {SEGUE} {found.after_congestion[SEGUE] * 1000:.0f} ms,"
        f" {BENTOML} {found.after_congestion[BENTOML] * 1000:.0f} ms\n"
    )
    yield _decisions(found)
    yield _targets(found)


def _decisions(found: Study) -> str:
    one = found.deciding
    return (
        f"A decision with 256 waiting and batches of 64: {one.p50 * 1e6:.0f} µs, p99 {one.p99 * 1e6:.0f} µs"
        f" of processor time; {one.at_once_p50 * 1e6:.0f} µs, p99 {one.at_once_p99 * 1e6:.0f} µs if nothing"
        f" is chosen while the engine runs; {one.items_per_second:.0f} items a second\n"
    )


def in_markdown(part: RenderableType) -> RenderableType:
    """A part of `tables_of`, as the documentation shows it."""
    if isinstance(part, Table):
        part.box = MARKDOWN
    return part


def _figures(*names: str, wide: bool) -> Sequence[str]:
    """What a table shows of latencies, for each table: one figure, or several with slashes between."""
    return [" / ".join(names)] if wide else names


def _latencies(title: str, table: Mapping[str, Mapping[float, Summary]], figures: str) -> Table:
    shown = _table(title, "policy", *(f"{column:g}" for column in next(iter(table.values()))))
    for name, summaries in table.items():
        shown.add_row(name, *(_milliseconds(summary, figures) for summary in summaries.values()))
    return shown


def _milliseconds(summary: Summary, figures: str) -> str:
    shown = [f"{getattr(summary, figure) * 1000:.0f}" for figure in figures.split(" / ")]
    return " / ".join(shown) if summary.stable else "–"


def _shares(title: str, served: Mapping[str, Mapping[float, Served]]) -> Table:
    shown = _table(title, "policy", *(f"{column:g}" for column in next(iter(served.values()))))
    for name, by_load in served.items():
        shown.add_row(name, *(f"{one.in_time:.0%}" for one in by_load.values()))
    return shown


def _by_class(found: Study, shown: Sequence[str]) -> Iterator[Table]:
    for name, figures in product(("urgent", "background"), shown):
        summaries = {
            policy: {load: getattr(both, name) for load, both in by_load.items()}
            for policy, by_load in found.urgent.items()
        }
        yield _latencies(f"One in ten urgent: {figures} of the {name} by load", summaries, figures)


def _fairness(found: Study) -> Table:
    shown = _table(
        "A greedy tenant and four modest, by load of the greedy", "policy", *_tenant_columns(found)
    )
    for name, by_load in found.tenants.items():
        figures = [(f"{one.jain:.3f}", f"{one.modest_p99 * 1000:.0f}") for one in by_load.values()]
        shown.add_row(name, *(figure for pair in figures for figure in pair))
    return shown


def _tenant_columns(found: Study) -> list[str]:
    loads = next(iter(found.tenants.values()))
    return [column for load in loads for column in (f"{load:g}: Jain", "modest p99, ms")]


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


def peers_table(found: Iterable[Comparison]) -> Table:
    """The peers' own code beside what stands for it: latencies in ms."""
    columns = ("load", "mean, theirs", "mean, ours", "p99, theirs", "p99, ours", "furthest")
    shown = _table("The peers' own code, and ours for it", "peer", *columns)
    for one in found:
        seconds = (one.their_mean, one.our_mean, one.their_p99, one.our_p99, one.furthest)
        shown.add_row(one.peer, f"{one.load:g}", *(f"{figure * 1000:.1f}" for figure in seconds))
    return shown


def _table(title: str, first: str, *headings: str) -> Table:
    shown = Table(first, title=title, title_justify="left")
    for heading in headings:
        shown.add_column(heading, justify="right", no_wrap=True)
    return shown
