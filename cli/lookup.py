"""The verbs that ask about what was submitted: status, result, cancel and queue."""

from __future__ import annotations

from collections import deque
from typing import Annotated

import typer

from cli.connecting import client_of
from cli.exits import Exit
from cli.options import AsJson, Folder, JsonLines, LineCount, LineWidth, RedisUrl, RequestIds, Written
from cli.outcomes import Left, collect, told_what_goes_on
from cli.outputs import Form, Output
from cli.recordings import look_up
from cli.saying import say, say_json
from protocol.formats import MAX_LINE_COUNT, MAX_LINE_WIDTH
from protocol.transcript import ON_ITS_WAY, Status


def status(request_ids: RequestIds, as_json: AsJson = False, redis_url: RedisUrl = None) -> None:
    """Say where requests are.

    One line each: the id, a tab, and the status, which is queued, batched (a worker has it),
    running, completed, failed, cancelled, expired or unknown. The exit status is 1 if any of them will have
    no transcript.
    """
    with client_of(redis_url) as client:
        found = {name: where for name, _, where in look_up(client, request_ids)}
    for request_id in request_ids:
        _say_where(request_id, found[request_id], as_json=as_json)
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
    """Print transcripts of what was submitted before.

    Requests and recordings, in the order of their ids. One that has no transcript yet ends it with
    status 4, once --timeout is over.
    """
    output = Output(
        form=form,
        folder=folder,
        as_json=as_json,
        max_line_width=max_line_width,
        max_line_count=max_line_count,
    )
    output.prepare(len(request_ids))
    with client_of(redis_url) as client:
        left: Left = deque((name, ticket) for name, ticket, _ in look_up(client, request_ids))
        with told_what_goes_on(left, begun_here=False):
            collect(left, output, timeout, redis_url)


def cancel(request_ids: RequestIds, as_json: AsJson = False, redis_url: RedisUrl = None) -> None:
    """Cancel requests and recordings that still wait.

    One line each: the id, a tab, and where the request is now. One that runs already goes on, since
    its batch is others' too. The exit status is 1 if any of them could not be cancelled.
    """
    failed = False
    with client_of(redis_url) as client:
        for name, ticket, _ in look_up(client, request_ids):
            failed |= not ticket.cancel()
            _say_where(name, ticket.status, as_json=as_json)
    if failed:
        raise typer.Exit(Exit.FAILED)


def queue(as_json: AsJson = False, redis_url: RedisUrl = None) -> None:
    """Say how many requests wait in Redis, by priority.

    Those that a worker holds already are not counted.
    """
    with client_of(redis_url) as client:
        depths = client.queue_depth()
    if as_json:
        say_json(depths)
        return
    for priority, depth in depths.items():
        say(f"{priority}\t{depth}")


def _say_where(request_id: str, where: Status, *, as_json: bool) -> None:
    if as_json:
        say_json({"request_id": request_id, "status": where})
    else:
        say(f"{request_id}\t{where}")
