"""Wait for transcripts and hand them on in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import typer

from cli.exits import Exit, NoWorker, complain
from cli.outputs import Output
from cli.presence import worker_answers
from cli.progress import progress
from cli.recordings import failures, give_up, is_partial
from cli.saying import CannotPrint
from protocol.errors import QueueUnreachable, RequestError, ResultTimeout, TranscriptionError
from protocol.transcript import Transcript

if TYPE_CHECKING:
    from producer import RecordingTicket, Ticket
    from producer.begun import Follow

#: How long a request may wait before somebody asks whether there is a worker at all, in seconds: above
#: any ordinary batch, below a person's patience.
ASK_AFTER_SECONDS = 10.0

Seen = TypeVar("Seen")


Left: TypeAlias = "deque[tuple[str, Ticket | RecordingTicket | TranscriptionError]]"
"""What has not been shown yet, by name, in order."""


def time_after(timeout: float | None) -> float:
    """When `timeout` seconds will have passed, on the monotonic clock; None is never."""
    return float("inf") if timeout is None else time.monotonic() + timeout


def collect(left: Left, output: Output, timeout: float | None, redis_url: str | None) -> None:
    """Put each outcome where it belongs, in order, as soon as it and all before it are there.

    What is shown is `left` no longer; see `told_what_goes_on`.
    """
    give_up_at = time_after(timeout)
    places = output.places([name for name, _ in left])
    failed = False
    with progress(len(left)) as bar:
        for place in places:
            name, entry = left[0]
            if isinstance(entry, TranscriptionError):
                outcome: Transcript | TranscriptionError = entry
            else:
                look = partial(_result, entry, partial(bar.tell, name))
                outcome = patiently(look, give_up_at, redis_url)
            with bar.aside():
                failed |= output.show(name, place, outcome, failures(entry))
                failed |= is_partial(name, entry, outcome)
            left.popleft()
            bar.advance()
    if failed:
        raise typer.Exit(Exit.FAILED)


@contextmanager
def told_what_goes_on(left: Left, *, begun_here: bool = True) -> Iterator[None]:
    """Whoever ends this early, by Ctrl-C or for want of time, is told how to ask for what is left.

    Requests go on; recordings that were `begun_here` only if all of them is enqueued. Whoever has closed the
    pipe wants no more, and is told nothing of requests.
    """
    try:
        yield
    except (
        ResultTimeout,
        NoWorker,
        QueueUnreachable,
        KeyboardInterrupt,
        CannotPrint,
        BrokenPipeError,
    ) as error:
        for name, entry in left:
            if isinstance(entry, TranscriptionError) or (begun_here and give_up(name, entry)):
                continue
            if not isinstance(error, BrokenPipeError):
                complain(f"{name}: goes on as request {entry.request_id}")
        raise


def enqueue_rest(
    name: str, entry: Ticket | RecordingTicket, give_up_at: float, redis_url: str | None
) -> Ticket | RecordingTicket | TranscriptionError:
    """Enqueue all of it, if it is a recording; one that is left half enqueued is cancelled.

    Raises as `patiently` does.
    """
    from producer import RecordingTicket

    if not isinstance(entry, RecordingTicket):
        return entry
    try:
        ended = patiently(entry.enqueue_rest, give_up_at, redis_url)
    except (ResultTimeout, NoWorker, KeyboardInterrupt):
        give_up(name, entry)
        raise
    return entry if ended is None else ended


def patiently(
    look: Callable[[float], Seen], give_up_at: float, redis_url: str | None
) -> Seen | TranscriptionError:
    """What `look` returns, which waits for so many seconds at most, or the error of what is waited for.

    Until `give_up_at`, which is monotonic, or until it turns out that nobody works.

    Raises:
        ResultTimeout: the time is over.
        NoWorker: nobody works.
        QueueUnreachable: Redis does not answer.
    """
    while True:
        left = max(0.0, give_up_at - time.monotonic())
        try:
            return look(min(left, ASK_AFTER_SECONDS))
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


def _result(ticket: Ticket | RecordingTicket, tell: Follow, timeout: float) -> Transcript:
    from producer import RecordingTicket

    if isinstance(ticket, RecordingTicket):
        return ticket.result(timeout, progress=tell)
    return ticket.result(timeout)
