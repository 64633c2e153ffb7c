"""How far a command is, on standard error, where a person is looking."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from cli.recordings import shown

if TYPE_CHECKING:
    from rich.progress import Progress

    from producer.assembly import RecordingProgress


class Unseen:
    """What is told where nobody looks."""

    def aside(self) -> AbstractContextManager[object]:
        """Where something is printed: the bar is not on its lines meanwhile."""
        return nullcontext()

    def advance(self) -> None:
        """One more outcome is there."""

    def tell(self, name: str, reached: RecordingProgress) -> None:
        """A recording has come this far."""


class Bar(Unseen):
    """A bar with a step for each outcome."""

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar = bar
        self._task = bar.add_task("transcribing", total=total)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar off the screen.

        Rich would print for us above the bar, but breaks lines where the screen ends, and makes spaces of
        tabs: who copies a transcript from the screen wants it as it is.
        """
        self._bar.stop()
        yield
        self._bar.start()

    def advance(self) -> None:
        """One more outcome is there."""
        self._bar.update(self._task, advance=1, description="transcribing")

    def tell(self, name: str, reached: RecordingProgress) -> None:
        """Say beside the bar how far the recording is."""
        self._bar.update(self._task, description=f"transcribing {Path(name).name}, {shown(reached)}")


@contextmanager
def progress(total: int) -> Iterator[Unseen]:
    """A bar until the context ends, if standard error is a terminal with room for it."""
    if not sys.stderr.isatty() or _goes_on():
        yield Unseen()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as bar:
        yield Bar(bar, total)


def _goes_on() -> bool:
    """Whether standard output is a pipe, whose reader may write on the same screen, into the bar."""
    try:
        return stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
    except OSError:  # an object in memory, which takes the place of standard output
        return False
