"""Wait for transcripts and hand them on in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import typer

from cli.exits import Exit, NoWorker, complain
from cli.outputs import Output
from cli.presence import worker_answers
from cli.progress import progress
from cli.recordings import give_up, is_partial
from protocol.errors import QueueUnreachable, RequestError, ResultTimeout, TranscriptionError
from protocol.transcript import Transcript

if TYPE_CHECKING:
    from producer import RecordingTicket, Ticket
    from producer.recording import Follow

#: How long a request may wait before somebody asks whether there is a worker at all, in seconds: above
#: any ordinary batch, below a person's patience.
ASK_AFTER_SECONDS = 10.0


def collect(
    entries: Sequence[tuple[str, Ticket | RecordingTicket | TranscriptionError]],
    output: Output,
    timeout: float | None,
    redis_url: str | None,
) -> None:
    """Put each outcome where it belongs, in order, as soon as it and all before it are there."""
    give_up_at = float("inf") if timeout is None else time.monotonic() + timeout
    places = output.places([name for name, _ in entries])
    failed = False
    done = 0
    try:
        with progress(len(entries)) as bar:
            for (name, entry), place in zip(entries, places, strict=True):
                if isinstance(entry, TranscriptionError):
                    outcome: Transcript | TranscriptionError = entry
                else:
                    outcome = _wait(entry, give_up_at, redis_url, partial(bar.tell, name))
                failed |= output.show(name, place, outcome) | is_partial(name, entry, outcome)
                done += 1
                bar.advance()
    except (ResultTimeout, NoWorker, KeyboardInterrupt):
        for name, entry in entries[done:]:
            if not isinstance(entry, TranscriptionError) and not give_up(name, entry):
                complain(f"{name}: goes on as request {entry.request_id}")
        raise
    if failed:
        raise typer.Exit(Exit.FAILED)


def _wait(
    ticket: Ticket | RecordingTicket, give_up_at: float, redis_url: str | None, tell: Follow
) -> Transcript | TranscriptionError:
    while True:
        left = max(0.0, give_up_at - time.monotonic())
        try:
            return _result(ticket, min(left, ASK_AFTER_SECONDS), tell)
        except ResultTimeout:
            if left <= ASK_AFTER_SECONDS:
                raise
            if not worker_answers(redis_url):
                raise NoWorker("no worker answers: is one running? `segue worker` starts one") from None
        except QueueUnreachable:
            raise
        except RequestError as error:
            if error.code != "UNKNOWN_ID" or left <= ASK_AFTER_SECONDS:  # somebody may be about to submit it
                return error
        except TranscriptionError as error:
            return error


def _result(ticket: Ticket | RecordingTicket, timeout: float, tell: Follow) -> Transcript:
    from producer import RecordingTicket

    if isinstance(ticket, RecordingTicket):
        return ticket.result(timeout, progress=tell)
    return ticket.result(timeout)
