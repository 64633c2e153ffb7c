"""Wait for transcripts and hand them on in order."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from cli.exits import Exit, NoWorker, complain
from cli.outputs import Output
from cli.presence import worker_answers
from protocol.errors import QueueUnreachable, RequestError, ResultTimeout, TranscriptionError
from protocol.transcript import Transcript

if TYPE_CHECKING:
    from producer import Ticket

#: How long a request may wait before somebody asks whether there is a worker at all, in seconds: above
#: any ordinary batch, below a person's patience.
ASK_AFTER_SECONDS = 10.0


def collect(
    entries: Sequence[tuple[str, Ticket | RequestError]],
    output: Output,
    timeout: float | None,
    redis_url: str | None,
) -> None:
    """Put each outcome where it belongs, in order, as soon as it and all before it are there."""
    give_up_at = float("inf") if timeout is None else time.monotonic() + timeout
    places = output.places([name for name, _ in entries])
    failed = False
    shown = 0
    try:
        with _progress(len(entries)) as advance:
            for (name, entry), place in zip(entries, places, strict=True):
                outcome = entry if isinstance(entry, RequestError) else _wait(entry, give_up_at, redis_url)
                failed |= output.show(name, place, outcome)
                shown += 1
                advance()
    except (ResultTimeout, NoWorker, KeyboardInterrupt):
        for name, entry in entries[shown:]:
            if not isinstance(entry, RequestError):
                complain(f"{name}: goes on as request {entry.request_id}")
        raise
    if failed:
        raise typer.Exit(Exit.FAILED)


def _wait(ticket: Ticket, give_up_at: float, redis_url: str | None) -> Transcript | TranscriptionError:
    while True:
        left = max(0.0, give_up_at - time.monotonic())
        try:
            return ticket.result(min(left, ASK_AFTER_SECONDS))
        except ResultTimeout:
            if left <= ASK_AFTER_SECONDS:
                raise
            if not worker_answers(redis_url):
                raise NoWorker("no worker answers: is one running? `segue worker` starts one") from None
        except QueueUnreachable:
            raise
        except TranscriptionError as error:
            return error


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error where a person is looking; what to call for each outcome."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("transcribing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    to_terminal = sys.stdout.isatty()  # then both share one screen, and the bar must make room
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=to_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)
