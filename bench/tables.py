"""What the engine benchmark found, for reading."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table

from bench.engine import TABLE_SAMPLES, Measured
from bench.figures import PREDECESSOR, figures_of, machine, of_features, table_of
from bench.mel import STRETCHES

_NAMES = {"loop": "loop", "pipeline": "pipeline", "segue": "Segue"}
_MAKERS = {
    "faster-whisper": "faster-whisper",
    "batch": "Segue, a batch on all cores",
    "ahead": "Segue, one by one",
}


def tables_of(measured: Measured) -> Iterator[RenderableType]:
    """Everything worth showing, top to bottom."""
    here = machine()
    yield f"{here['processor']}, {here['cores']} cores, load {here['load'][0]}"
    yield ways_table(measured, "detected")
    yield ways_table(measured, "given")
    yield predecessors_table(measured)
    yield features_table(measured)


def ways_table(measured: Measured, language: str) -> Table:
    """Each way beside faster-whisper's own two, with the language detected or given.

    Milliseconds are those of a clip.
    """
    seconds = [clip.seconds for clip in measured.clips]
    table = Table(
        title=f"Language {language}: {len(seconds)} clips of {min(seconds):.1f} to {max(seconds):.1f} s,"
        f" beam 1, median of {measured.rounds} rounds",
        title_justify="left",
    )
    for heading in ("who", "context"):
        table.add_column(heading)
    for heading in ("batch", "ms", "CPU ms", "× loop", "× pipeline", "same text"):
        table.add_column(heading, justify="right")
    for figure in figures_of(measured):
        if figure.way.language != language:
            continue
        table.add_row(
            _NAMES[figure.way.who],
            figure.way.context,
            str(figure.way.batch_size),
            f"{figure.seconds_per_clip * 1000:.1f}",
            f"{figure.cpu_seconds_per_clip * 1000:.1f}",
            f"{figure.against_loop:.2f}",
            f"{figure.against_pipeline:.2f}",
            f"{figure.texts_as_loop}/{len(seconds)}",
        )
    return table


def predecessors_table(measured: Measured) -> Table:
    """Its three columns, measured here, beside its own."""
    table = Table(title=f"The predecessor's table: {TABLE_SAMPLES} synthetic samples", title_justify="left")
    table.add_column("context")
    for heading in ("batch", "avg/sample", "total", "speedup", "its avg", "its speedup"):
        table.add_column(heading, justify="right")
    for line in table_of(measured.table, TABLE_SAMPLES):
        its_own, its_speedup = PREDECESSOR.get(line.batch_size, (None, None))
        table.add_row(
            line.context,
            str(line.batch_size),
            f"{line.seconds_per_sample:.3f}s",
            f"{line.total_seconds:.2f}s",
            f"{line.speedup:.1f}x",
            "" if its_own is None else f"{its_own:.3f}s",
            "" if its_speedup is None else f"{its_speedup:.1f}x",
        )
    return table


def features_table(measured: Measured) -> Table:
    """Each maker of features beside faster-whisper's. Milliseconds are those of 30 s."""
    table = Table(title=f"Features of {STRETCHES} stretches of 30 s", title_justify="left")
    table.add_column("who")
    for heading in ("ms", "CPU ms", "× faster", "× cheaper"):
        table.add_column(heading, justify="right")
    for figure in of_features(measured.features):
        table.add_row(
            _MAKERS[figure.maker],
            f"{figure.seconds_per_stretch * 1000:.1f}",
            f"{figure.cpu_seconds_per_stretch * 1000:.1f}",
            f"{figure.times_faster:.2f}",
            f"{figure.times_cheaper:.2f}",
        )
    return table
