"""What is seen while the demo runs: one line for each step, and a live picture of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.demo.figures import Figures, Progress, Run
from cli.demo.report import report_of

#: Eighths of a character's height, for bars inside a line of text.
EIGHTHS = "▁▂▃▄▅▆▇█"


class Display:
    """Tells the story of the demo on a console; on one that is no terminal, without moving pictures."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Something that takes a moment, with nothing to see."""
        if not self._console.is_terminal:
            self._console.print(doing)
            yield
            return
        with self._console.status(doing):
            yield
        self._console.print(Text.assemble(("✓ ", "green"), doing))

    def say(self, line: str) -> None:
        """One line that stays."""
        self._console.print(line)

    @contextmanager
    def live(self, name: str) -> Iterator[Callable[[Progress], None]]:
        """A picture of a run that moves with each call of what this gives; only terminals show it."""
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            yield lambda progress: live.update(picture_of(name, progress), refresh=True)

    def ended(self, run: Run) -> None:
        """The line that stays of a run."""
        self._console.print(
            Text.assemble(
                ("✓ ", "green"),
                f"{run.name}: {len(run.transcripts)} transcripts in {run.seconds:.1f} s, ",
                (f"{run.audio_per_second:.1f} audio s/s", "bold"),
                f", {run.mean_batch_size:.1f} to a batch",
            )
        )

    def report(self, figures: Figures) -> None:
        """The tables at the end."""
        for table in report_of(figures):
            self._console.print()
            self._console.print(table)
        self._console.print()


def picture_of(name: str, progress: Progress) -> RenderableType:
    """A run at one moment: how far it is, where its requests are, and the batches so far."""
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        Text(name, style="bold"),
        ProgressBar(total=progress.total, completed=progress.done, width=40),
        f"{progress.done}/{progress.total}",
    )
    where = Table.grid(padding=(0, 2))
    for caption, number, style in (
        ("submitted", progress.submitted, ""),
        ("waiting", progress.waiting, "yellow"),
        ("in batch", progress.in_batch, "cyan"),
        ("done", progress.done, "green"),
    ):
        where.add_row(caption, Text(f"{number:>4}", style=style), tally(number, progress.total, style))
    rate = progress.audio_seconds / max(progress.seconds, 1e-9)
    sizes = Text.assemble("batch sizes  ", (histogram(progress.batch_sizes), "cyan"))
    return Group(
        bar, Padding(where, (1, 0, 1, 2)), Padding(sizes, (0, 2)), f"  throughput   {rate:.1f} audio s/s"
    )


def tally(number: int, total: int, style: str) -> Text:
    """A bar as long as `number` is large, in a space for `total`."""
    return Text("▇" * round(40 * number / total), style=style)


def histogram(sizes: Sequence[int]) -> str:
    """How often each batch size occurred, as in ``1 ▁ ×1  8 █ ×12``."""
    counts = Counter(sizes)
    most = max(counts.values(), default=1)
    return "  ".join(
        f"{size} {EIGHTHS[(len(EIGHTHS) - 1) * count // most]} ×{count}"
        for size, count in sorted(counts.items())
    )
