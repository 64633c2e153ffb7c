"""The verbs of a producer: transcribe, submit, status, result, cancel, queue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit, complain
from cli.inputs import Input, find
from cli.outcomes import collect
from cli.outputs import Form, Output
from protocol.errors import RequestError
from protocol.formats import MAX_LINE_COUNT, MAX_LINE_WIDTH
from protocol.options import Options
from protocol.request import Priority
from protocol.transcript import Status

if TYPE_CHECKING:
    from producer import Client, Ticket

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="Audio files, 0.05 to 30 s each: WAV, FLAC, Ogg, MP3, M4A or WebM. Folders stand for all in"
        " them and below, quoted patterns such as 'calls/**/*.wav' for what matches.",
    ),
]
RequestIds = Annotated[list[str], typer.Argument(metavar="ID", help="As `segue submit` printed them.")]
Language = Annotated[
    str | None, typer.Option(help="Whisper's code, such as en; found out from the audio if not given.")
]
Urgency = Annotated[Priority, typer.Option(help="Urgent overtakes normal, normal overtakes bulk.")]
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
LineWidth = Annotated[int, typer.Option(help="Columns of a line of subtitles.", min=2)]
LineCount = Annotated[int, typer.Option(help="Lines of a subtitle.", min=1)]
RedisUrl = Annotated[
    str | None, typer.Option(help="Where Redis is; else REDIS_URL, else this machine.", metavar="URL")
]


def transcribe(
    files: Files,
    form: Written = Form.TEXT,
    folder: Folder = None,
    as_json: JsonLines = False,
    language: Language = None,
    priority: Urgency = Priority.NORMAL,
    max_line_width: LineWidth = MAX_LINE_WIDTH,
    max_line_count: LineCount = MAX_LINE_COUNT,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait in all; else as long as a worker answers.", min=0)
    ] = None,
    redis_url: RedisUrl = None,
) -> None:
    """Transcribe audio files and print the transcripts in order.

    A file that fails is named on standard error and has no line of text; with --json it has its line,
    which holds the error. If the wait ends early the requests go on: their ids are on standard error,
    for `segue result`.
    """
    Options(language=language)
    inputs = find(files)
    output = Output(
        form=form,
        folder=folder,
        as_json=as_json,
        max_line_width=max_line_width,
        max_line_count=max_line_count,
    )
    output.prepare(len(inputs))
    with _client(redis_url) as client:
        entries = [_submit(client, one, language, priority) for one in inputs]
        collect(entries, output, timeout, redis_url)


def submit(
    files: Files,
    language: Language = None,
    priority: Urgency = Priority.NORMAL,
    redis_url: RedisUrl = None,
) -> None:
    """Submit audio files and print their request ids, one a line."""
    Options(language=language)
    failed = False
    with _client(redis_url) as client:
        for one in find(files):
            name, entry = _submit(client, one, language, priority)
            if isinstance(entry, RequestError):
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
    timeout: Annotated[float, typer.Option(help="Seconds to wait in all.", min=0)] = 0.0,
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


def _submit(
    client: Client, one: Input, language: str | None, priority: str
) -> tuple[str, Ticket | RequestError]:
    if isinstance(one, tuple):
        return one
    try:
        ticket = client.submit(one, priority=priority, language=language)
    except RequestError as error:
        return str(one), error
    for warning in ticket.warnings:
        complain(f"{one}: {warning}")
    return str(one), ticket
