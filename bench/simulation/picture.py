"""Latency, goodput and urgent requests against load, drawn with matplotlib, of the extra `bench`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.simulation.contest import (
    BENTOML,
    BEST,
    CELERY,
    FIXED,
    RAY_LONG,
    RAY_SHORT,
    SEGUE,
    SEGUE_WINDOW,
    TEI,
    TRITON_DELAY,
)
from bench.simulation.studies import deadlines, urgent
from bench.simulation.studies.deadlines import MIXED
from bench.simulation.study import Study
from bench.simulation.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colour, dashes, and width in points.
Style = tuple[str, str, float]

#: What is drawn and how: in Okabe and Ito's colours, distinct for the colour-blind too. Left out
#: is what another hides: Triton with delay 0 by Segue, LitServe by mosec and TorchServe but at light load.
STYLES: Mapping[str, Style] = {
    SEGUE: ("#0072B2", "-", 3.0),
    SEGUE_WINDOW: ("#0072B2", "--", 2.0),
    BEST: ("#000000", ":", 1.6),
    BENTOML: ("#009E73", "-", 1.4),
    TRITON_DELAY: ("#E69F00", "-", 1.4),
    FIXED: ("#D55E00", "-", 1.4),
    TEI: ("#CC79A7", "-", 1.4),
    RAY_SHORT: ("#56B4E9", "-", 1.4),
    RAY_LONG: ("#56B4E9", "--", 1.4),
    CELERY: ("#999999", "-", 1.4),
}

#: The same for those who know deadlines, and for those who know urgent from not.
DEADLINES: Mapping[str, Style] = {
    deadlines.SEGUE: ("#0072B2", "-", 3.0),
    deadlines.NEXUS: ("#000000", ":", 1.6),
    deadlines.CORK_SHORT: ("#009E73", "-", 1.4),
    deadlines.CORK_LONG: ("#009E73", "--", 1.4),
    deadlines.REJECT: ("#E69F00", "-", 1.4),
    deadlines.FIFO: ("#999999", "-", 1.4),
}
CLASSES: Mapping[str, Style] = {
    urgent.SEGUE: ("#0072B2", "-", 3.0),
    urgent.STRICT: ("#E69F00", "-", 1.4),
    urgent.FIFO: ("#999999", "-", 1.4),
}

#: What the axis of latency shows, in ms: a stable policy at a load of 0.95 stays below.
LOWEST, HIGHEST = 90, 2000


def draw(found: Study, path: Path) -> None:
    """Write a PNG to `path`. Raises `ModuleNotFoundError` without matplotlib, `OSError` from the writing."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 10), dpi=110, layout="constrained")
    (mean, p99), (in_time, hurried) = figure.subplots(2, 2)
    for axes, name, title in ((mean, "mean", "Latency: mean"), (p99, "p99", "Latency: 99th percentile")):
        for policy, style in STYLES.items():
            _line(axes, policy, _latencies(found.poisson[policy], name), style)
        _dress(axes, title)
        _scale(axes)
    p99.text(0.02, 0.96, "✖ the last load at which it is stable", transform=p99.transAxes)
    _goodput(in_time, found)
    _urgent(hurried, found)
    for axes in (mean, in_time, hurried):
        axes.legend(frameon=False, fontsize="small")
    figure.savefig(path, format="png")


def _goodput(axes: Axes, found: Study) -> None:
    for policy, style in DEADLINES.items():
        by_load = found.deadlines[MIXED][policy]
        _line(axes, policy, {load: served.in_time * 100 for load, served in by_load.items()}, style)
    _dress(axes, f"Deadlines of {MIXED}: in time, %")
    axes.set_ylim(0, 100)
    axes.set_xlim(min(deadlines.LOADS), max(deadlines.LOADS))


def _urgent(axes: Axes, found: Study) -> None:
    for policy, style in CLASSES.items():
        by_load = {load: classes.urgent for load, classes in found.urgent[policy].items()}
        _line(axes, policy, _latencies(by_load, "p99"), style)
    _dress(axes, "One request in ten urgent: their 99th percentile, ms")
    axes.set_ylim(bottom=0)
    axes.set_xlim(min(urgent.LOADS), max(urgent.LOADS))


def _line(axes: Axes, policy: str, latencies: Mapping[float, float | None], style: Style) -> None:
    """The line of one policy, over the loads at which it is stable; it ends in a cross if not at all."""
    colour, dashes, width = style
    loads = [load for load, latency in latencies.items() if latency is not None]
    shown = [latency for latency in latencies.values() if latency is not None]
    axes.plot(loads, shown, dashes, color=colour, linewidth=width, label=policy)
    if len(loads) < len(latencies):
        axes.plot(loads[-1:], shown[-1:], "X", color=colour, markersize=8)


def _latencies(summaries: Mapping[float, Summary], name: str) -> dict[float, float | None]:
    """Milliseconds by load, None where the queue grows without end."""
    return {load: getattr(one, name) * 1000 if one.stable else None for load, one in summaries.items()}


def _dress(axes: Axes, title: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_xlabel("load (of the capacity in full batches)")
    axes.set_title(title, loc="left")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _scale(axes: Axes) -> None:
    """Latencies on a logarithmic scale."""
    axes.set_yscale("log")
    axes.set_ylim(LOWEST, HIGHEST)
    axes.set_yticks(ticks := [100, 200, 300, 500, 1000, 2000], [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_ylabel("ms")
