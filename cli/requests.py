"""The verbs of a producer: transcribe, submit, status, result, cancel, queue."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit, complain
from cli.inputs import find
from cli.outcomes import collect, enqueue_rest
from cli.outputs import Form, Output
from cli.recordings import Cutting, SegmentSeconds, Split, Splits, look_up
from cli.sending import Sender
from cli.wishes import Wishes, takes_wishes
from protocol.errors import TranscriptionError
from protocol.formats import MAX_LINE_COUNT, MAX_LINE_WIDTH
from protocol.request import MAX_SECONDS, Priority, check_conversation, check_tenant
from protocol.transcript import ON_ITS_WAY, Status

if TYPE_CHECKING:
    from producer import Client
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
Tenant = Annotated[
    str | None,
    typer.Option(
        help="On whose behalf: of what a worker holds of one priority, tenants take turns.",
        metavar="NAME",
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
    tenant: Tenant = None,
    max_line_width: LineWidth = MAX_LINE_WIDTH,
    max_line_count: LineCount = MAX_LINE_COUNT,
    split: Splits = Split.VAD,
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
    given = _given(wishes, priority, deadline, conversation, tenant)
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
        sender = Sender(
            client=client,
            given=given,
            cutting=Cutting(split=split, max_segment_seconds=max_segment_seconds),
            give_up_at=give_up_at,
            redis_url=redis_url,
        )
        entries = [sender.send(one) for one in inputs]
        left = None if timeout is None else max(0.0, give_up_at - time.monotonic())
        collect(entries, output, left, redis_url)


@takes_wishes
def submit(
    files: Files,
    wishes: Wishes,
    priority: Urgency = Priority.NORMAL,
    deadline: Deadline = None,
    conversation: Conversation = None,
    tenant: Tenant = None,
    split: Splits = Split.VAD,
    max_segment_seconds: SegmentSeconds = MAX_SECONDS,
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

    While the queue is full, this waits for room. A file that is too long for one request is a recording:
    this then takes nearly as long as its transcription, since only so many of its parts wait at a time.
    """
    given = _given(wishes, priority, deadline, conversation, tenant)
    give_up_at = _in(timeout)
    failed = False
    with _client(redis_url) as client, ExitStack() as held:
        sender = Sender(
            client=client,
            given=given,
            cutting=Cutting(split=split, max_segment_seconds=max_segment_seconds),
            give_up_at=give_up_at,
            redis_url=redis_url,
        )
        for one in find(files, held):
            name, entry = sender.send(one)
            if not isinstance(entry, TranscriptionError):
                typer.echo(entry.request_id)
                entry = enqueue_rest(name, entry, give_up_at, redis_url)
            if isinstance(entry, TranscriptionError):
                complain(f"{name}: {entry}")
                failed = True
    if failed:
        raise typer.Exit(Exit.FAILED)


def status(request_ids: RequestIds, redis_url: RedisUrl = None) -> None:
    """Say where requests are.

    One line each: the id, a tab, and the status, which is queued, batched (a worker has it),
    running, completed, failed, cancelled, expired or unknown. The exit status is 1 if any of them will have
    no transcript.
    """
    with _client(redis_url) as client:
        found = {name: where for name, _, where in look_up(client, request_ids)}
    for request_id in request_ids:
        typer.echo(f"{request_id}\t{found[request_id]}")
    if not {*found.values()} <= {Status.COMPLETED, *ON_ITS_WAY}:
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
    """Print transcripts of what was submitted before, recordings too."""
    output = Output(
        form=form,
        folder=folder,
        as_json=as_json,
        max_line_width=max_line_width,
        max_line_count=max_line_count,
    )
    output.prepare(len(request_ids))
    with _client(redis_url) as client:
        entries = [(name, ticket) for name, ticket, _ in look_up(client, request_ids)]
        collect(entries, output, timeout, redis_url, begun_here=False)


def cancel(request_ids: RequestIds, redis_url: RedisUrl = None) -> None:
    """Cancel requests and recordings that still wait.

    One line each: the id, a tab, and where the request is now. One that runs already goes on, since
    its batch is others' too. The exit status is 1 if any of them could not be cancelled.
    """
    failed = False
    with _client(redis_url) as client:
        for _, ticket, _ in look_up(client, request_ids):
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


def _in(timeout: float | None) -> float:
    """When `timeout` seconds will have passed, on the monotonic clock; None is never."""
    return float("inf") if timeout is None else time.monotonic() + timeout


def _given(
    wishes: Wishes, priority: Priority, deadline: float | None, conversation: str | None, tenant: str | None
) -> GivenForOne:
    """What holds for every input; whatever is wrong with it is said once, before any is read."""
    from producer.submission import check_ahead

    given: GivenForOne = {**wishes.options(), "priority": priority}
    given |= {"deadline": check_ahead("deadline", deadline)}
    given |= {"conversation": check_conversation(conversation), "tenant": check_tenant(tenant)}
    return given
