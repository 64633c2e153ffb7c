"""The verbs of a producer: transcribe, submit, status, result, queue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit, complain
from cli.outcomes import Form, collect
from protocol.errors import RequestError
from protocol.options import Options
from protocol.request import Priority
from protocol.transcript import Status

if TYPE_CHECKING:
    from producer import Client, Ticket

Files = Annotated[
    list[Path], typer.Argument(help="Audio files, 0.05 to 30 s each: WAV, FLAC, Ogg, MP3, M4A or WebM.")
]
RequestIds = Annotated[list[str], typer.Argument(metavar="ID...", help="As `segue submit` printed them.")]
Language = Annotated[
    str | None, typer.Option(help="Whisper's code, such as en; found out from the audio if not given.")
]
Urgency = Annotated[Priority, typer.Option(help="Urgent overtakes normal, normal overtakes bulk.")]
Printed = Annotated[
    Form, typer.Option("--format", "-f", help="One line each: the text, or all there is as JSON.")
]
RedisUrl = Annotated[
    str | None, typer.Option(help="Where Redis is; else REDIS_URL, else this machine.", metavar="URL")
]


def transcribe(
    files: Files,
    form: Printed = Form.TEXT,
    language: Language = None,
    priority: Urgency = Priority.NORMAL,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait in all; else as long as a worker answers.", min=0)
    ] = None,
    redis_url: RedisUrl = None,
) -> None:
    """Transcribe audio files and print the transcripts in order.

    A file that fails is named on standard error and has no line of text; with --format json it has its
    line, which holds the error. If the wait ends early the requests go on: their ids are on standard
    error, for `segue result`.
    """
    Options(language=language)
    with _client(redis_url) as client:
        entries = [(str(file), _submit(client, file, language, priority)) for file in files]
        collect(entries, form, timeout, redis_url)


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
        for file in files:
            entry = _submit(client, file, language, priority)
            if isinstance(entry, RequestError):
                complain(f"{file}: {entry}")
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
    form: Printed = Form.TEXT,
    timeout: Annotated[float, typer.Option(help="Seconds to wait in all.", min=0)] = 0.0,
    redis_url: RedisUrl = None,
) -> None:
    """Print the transcripts of requests submitted before."""
    with _client(redis_url) as client:
        collect([(name, client.get(name)) for name in request_ids], form, timeout, redis_url)


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


def _submit(client: Client, file: Path, language: str | None, priority: str) -> Ticket | RequestError:
    try:
        ticket = client.submit(file, priority=priority, language=language)
    except RequestError as error:
        return error
    for warning in ticket.warnings:
        complain(f"{file}: {warning}")
    return ticket
