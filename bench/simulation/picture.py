"""Latency against load, drawn: needs matplotlib, which the extra `bench` brings."""

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

#: What the axis of latency shows, in ms: a stable policy at a load of 0.95 stays below.
LOWEST, HIGHEST = 90, 2000


def draw(found: Study, path: Path) -> None:
    """Write a PNG to `path`. Raises `ModuleNotFoundError` without matplotlib, `OSError` from the writing."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), dpi=130, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, name, title in zip(panels, ("mean", "p99"), ("mean", "99th percentile"), strict=True):
        for policy, style in STYLES.items():
            _line(axes, policy, _latencies(found.poisson[policy], name), style)
        _dress(axes, title)
    panels[0].set_ylabel("latency, ms")
    panels[1].text(0.02, 0.96, "✖ the last load at which it is stable", transform=panels[1].transAxes)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(path, format="png")


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
    axes.set_yscale("log")
    axes.set_ylim(LOWEST, HIGHEST)
    axes.set_yticks(ticks := [100, 200, 300, 500, 1000, 2000], [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(0, 1)
    axes.set_xlabel("load (of the capacity in full batches)")
    axes.set_title(title, loc="left")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
