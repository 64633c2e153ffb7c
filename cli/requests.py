"""The verbs of a producer: transcribe, submit, status, result, cancel, queue."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from cli.exits import Exit, complain
from cli.inputs import Input, Piped, find
from cli.outcomes import collect
from cli.outputs import Form, Output
from cli.recordings import TOO_LONG_FOR_ONE, SegmentSeconds, begin
from cli.room import submit_when_room
from cli.wishes import Wishes, takes_wishes
from protocol.errors import RequestError, TranscriptionError
from protocol.formats import MAX_LINE_COUNT, MAX_LINE_WIDTH
from protocol.request import MAX_SECONDS, Priority, check_conversation
from protocol.transcript import Status

if TYPE_CHECKING:
    from producer import Client, RecordingTicket, Ticket
    from producer.given import GivenForOne

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="Audio files: WAV, FLAC, Ogg, MP3, M4A or WebM. Folders stand for all in"
        " them and below, quoted patterns such as 'calls/**/*.wav' for what matches, - for standard input.",
    ),
]
RequestIds = Annotated[list[str], typer.Argument(metavar="ID", help="As `segue submit` printed them.")]
Urgency = Annotated[Priority, typer.Option(help="Urgent overtakes normal, normal overtakes bulk.")]
Deadline = Annotated[
    float | None,
    typer.Option(help="When a transcript is late: refused if it cannot start by then.", metavar="SECONDS"),
]
Conversation = Annotated[
    str | None,
    typer.Option(
        help="The files are the next turns of it: what was said before is the prompt of each.",
        metavar="ID",
    ),
]
Written = Annotated[
    Form,
    typer.Option(
        "--output-format", "--format", "-f", help="JSON is a line for each input; subtitles need a file each."
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--output-dir", "-o", help="Write a file for each input here, named after it.", metavar="DIR"
    ),
]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Print a line of JSON for each input, failed ones included.")
]
LineWidth = Annotated[int, typer.Option(help="Columns of a line of subtitles.", min=2, metavar="N")]
LineCount = Annotated[int, typer.Option(help="Lines of a subtitle.", min=1, metavar="N")]
RedisUrl = Annotated[
    str | None, typer.Option(help="Where Redis is; else REDIS_URL, else this machine.", metavar="URL")
]


@takes_wishes
def transcribe(
    files: Files,
    wishes: Wishes,
    form: Written = Form.TEXT,
    folder: Folder = None,
    as_json: JsonLines = False,
    priority: Urgency = Priority.NORMAL,
    deadline: Deadline = None,
    conversation: Conversation = None,
    max_line_width: LineWidth = MAX_LINE_WIDTH,
    max_line_count: LineCount = MAX_LINE_COUNT,
    max_segment_seconds: SegmentSeconds = MAX_SECONDS,
    timeout: Annotated[
        float | None,
        typer.Option(
            help="How long to wait in all; else as long as a worker answers.", min=0, metavar="SECONDS"
        ),
    ] = None,
    redis_url: RedisUrl = None,
) -> None:
    """Transcribe audio files and print the transcripts in order.

    A file that fails is named on standard error and has no line of text; with --json it has its line,
    which holds the error. If the wait ends early the requests go on: their ids are on standard error,
    for `segue result`.
    """
    given: GivenForOne = {**wishes.options(), "priority": priority, "deadline": deadline}
    given["conversation"] = check_conversation(conversation)
    give_up_at = _in(timeout)
    output = Output(
        form=form,
        folder=folder,
        as_json=as_json,
        max_line_width=max_line_width,
        max_line_count=max_line_count,
    )
    with ExitStack() as held:
        inputs = find(files, held)
        output.prepare(len(inputs))
        client = held.enter_context(_client(redis_url))
        entries = [
            _begin(client, one, given, give_up_at, redis_url, max_segment_seconds=max_segment_seconds)
            for one in inputs
        ]
        left = None if timeout is None else max(0.0, give_up_at - time.monotonic())
        collect(entries, output, left, redis_url)


@takes_wishes
def submit(
    files: Files,
    wishes: Wishes,
    priority: Urgency = Priority.NORMAL,
    deadline: Deadline = None,
    conversation: Conversation = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            help="How long to wait for room in all; else as long as a worker answers.",
            min=0,
            metavar="SECONDS",
        ),
    ] = None,
    redis_url: RedisUrl = None,
) -> None:
    """Submit audio files and print their request ids, one a line.

    While the queue is full, this waits for room.
    """
    given: GivenForOne = {**wishes.options(), "priority": priority, "deadline": deadline}
    given["conversation"] = check_conversation(conversation)
    give_up_at = _in(timeout)
    failed = False
    with _client(redis_url) as client, ExitStack() as held:
        for one in find(files, held):
            name, entry = _submit(client, one, given, give_up_at, redis_url)
            if isinstance(entry, TranscriptionError):
                complain(f"{name}: {entry}")
                failed = True
            else:
                typer.echo(entry.request_id)
    if failed:
        raise typer.Exit(Exit.FAILED)


def status(request_ids: RequestIds, redis_url: RedisUrl = None) -> None:
    """Say where requests are.

    One line each: the id, a tab, and the status, which is queued, running, completed, failed,
    cancelled, expired or unknown. The exit status is 1 if any of them will have no transcript.
    """
    with _client(redis_url) as client:
        found = client.statuses(request_ids)
    for request_id, where in zip(request_ids, found, strict=True):
        typer.echo(f"{request_id}\t{where}")
    if not set(found) <= {Status.QUEUED, Status.RUNNING, Status.COMPLETED}:
        raise typer.Exit(Exit.FAILED)


def result(
    request_ids: RequestIds,
    form: Written = Form.TEXT,
    folder: Folder = None,
    as_json: JsonLines = False,
    max_line_width: LineWidth = MAX_LINE_WIDTH,
    max_line_count: LineCount = MAX_LINE_COUNT,
    timeout: Annotated[float, typer.Option(help="How long to wait in all.", min=0, metavar="SECONDS")] = 0.0,
    redis_url: RedisUrl = None,
) -> None:
    """Print the transcripts of requests submitted before."""
    output = Output(
        form=form,
        folder=folder,
        as_json=as_json,
        max_line_width=max_line_width,
        max_line_count=max_line_count,
    )
    output.prepare(len(request_ids))
    with _client(redis_url) as client:
        collect([(name, client.get(name)) for name in request_ids], output, timeout, redis_url)


def cancel(request_ids: RequestIds, redis_url: RedisUrl = None) -> None:
    """Cancel requests that still wait.

    One line each: the id, a tab, and where the request is now. One that runs already goes on, since
    its batch is others' too. The exit status is 1 if any of them could not be cancelled.
    """
    failed = False
    with _client(redis_url) as client:
        for ticket in [client.get(name) for name in request_ids]:
            failed |= not ticket.cancel()
            typer.echo(f"{ticket.request_id}\t{ticket.status}")
    if failed:
        raise typer.Exit(Exit.FAILED)


def queue(redis_url: RedisUrl = None) -> None:
    """Say how many requests wait in Redis, by priority.

    Those that a worker holds already are not counted.
    """
    with _client(redis_url) as client:
        for priority, depth in client.queue_depth().items():
            typer.echo(f"{priority}\t{depth}")


def _client(redis_url: str | None) -> Client:
    from producer import Client

    return Client(redis_url)


def _begin(
    client: Client,
    one: Input,
    given: GivenForOne,
    give_up_at: float,
    redis_url: str | None,
    *,
    max_segment_seconds: float,
) -> tuple[str, Ticket | RecordingTicket | TranscriptionError]:
    """`_submit`, and as a recording what is too long for one request."""
    name, entry = _submit(client, one, given, give_up_at, redis_url)
    if isinstance(one, tuple) or not isinstance(entry, RequestError) or entry.code not in TOO_LONG_FOR_ONE:
        return name, entry
    # A recording has no deadline: its last part could never start by then.
    terms = {term: value for term, value in given.items() if term != "deadline"}
    try:
        return name, begin(client, _audio(one), max_segment_seconds=max_segment_seconds, **terms)
    except RequestError as error:
        return name, error


def _submit(
    client: Client, one: Input, given: GivenForOne, give_up_at: float, redis_url: str | None
) -> tuple[str, Ticket | TranscriptionError]:
    if isinstance(one, tuple):
        return one
    entry = submit_when_room(lambda: client.submit(_audio(one), **given), give_up_at, redis_url)
    for warning in () if isinstance(entry, TranscriptionError) else entry.warnings:
        complain(f"{one}: {warning}")
    return str(one), entry


def _audio(one: Path | Piped) -> Path | BinaryIO:
    return one.again() if isinstance(one, Piped) else one


def _in(timeout: float | None) -> float:
    """When `timeout` seconds will have passed, on the monotonic clock; None is never."""
    return float("inf") if timeout is None else time.monotonic() + timeout
