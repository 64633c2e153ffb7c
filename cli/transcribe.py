"""The verbs that take sound: transcribe and submit."""

from __future__ import annotations

import time
from collections import deque
from contextlib import ExitStack
from functools import partial
from typing import Annotated

import typer

from cli.connecting import client_of
from cli.exits import Exit, complain
from cli.gathered import gathered
from cli.inputs import find
from cli.options import Folder, JsonLines, LineCount, LineWidth, Patience, RedisUrl, Written
from cli.outcomes import Left, collect, enqueue_rest, time_after, told_what_goes_on
from cli.outputs import Form, Output, show_submitted
from cli.recordings import Cutting, SegmentSeconds, Split, Splits
from cli.sending import Sender
from cli.terms import Terms
from cli.wishes import Wishes
from protocol.errors import TranscriptionError
from protocol.formats import MAX_LINE_COUNT, MAX_LINE_WIDTH
from protocol.request import MAX_SECONDS

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="Audio files: WAV, FLAC, Ogg, MP3, M4A or WebM. Folders stand for all in"
        " them and below, quoted patterns such as 'calls/**/*.wav' for what matches, - for standard input.",
    ),
]


@gathered(terms=Terms, wishes=Wishes)
def transcribe(
    files: Files,
    wishes: Wishes,
    terms: Terms,
    form: Written = Form.TEXT,
    folder: Folder = None,
    as_json: JsonLines = False,
    max_line_width: LineWidth = MAX_LINE_WIDTH,
    max_line_count: LineCount = MAX_LINE_COUNT,
    split: Splits = Split.VAD,
    max_segment_seconds: SegmentSeconds = MAX_SECONDS,
    timeout: Patience = None,
    redis_url: RedisUrl = None,
) -> None:
    """Transcribe audio files and print the transcripts in order.

    A file that fails is named on standard error and has no line of text; with --json it has its line,
    which holds the error. If the wait ends early, by Ctrl-C too, requests go on: their ids are on standard
    error, for `segue result`. So does a file that is too long for one request, if all its parts are on
    their way; else it is cancelled.
    """
    given = terms.given(wishes)
    give_up_at = time_after(timeout)
    output = Output(
        form=form,
        folder=folder,
        as_json=as_json,
        max_line_width=max_line_width,
        max_line_count=max_line_count,
    )
    left: Left = deque()
    with ExitStack() as held:
        inputs = find(files, held)
        terms.check(len(inputs))
        output.prepare(len(inputs))
        sender = Sender(
            client=held.enter_context(client_of(redis_url)),
            given=given,
            cutting=Cutting(split=split, max_segment_seconds=max_segment_seconds),
            give_up_at=give_up_at,
            redis_url=redis_url,
            sent=lambda name, entry: left.append((name, entry)),
        )
        with told_what_goes_on(left):
            for one in inputs:
                sender.send(one)
            remaining = None if timeout is None else max(0.0, give_up_at - time.monotonic())
            collect(left, output, remaining, redis_url)


@gathered(terms=Terms, wishes=Wishes)
def submit(
    files: Files,
    wishes: Wishes,
    terms: Terms,
    as_json: JsonLines = False,
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
    given = terms.given(wishes)
    give_up_at = time_after(timeout)
    failed = False
    with client_of(redis_url) as client, ExitStack() as held:
        inputs = find(files, held)
        terms.check(len(inputs))
        sender = Sender(
            client=client,
            given=given,
            cutting=Cutting(split=split, max_segment_seconds=max_segment_seconds),
            give_up_at=give_up_at,
            redis_url=redis_url,
            sent=partial(show_submitted, as_json=as_json),
        )
        for one in inputs:
            name, entry = sender.send(one)
            if not isinstance(entry, TranscriptionError):
                entry = enqueue_rest(name, entry, give_up_at, redis_url)
                if isinstance(entry, TranscriptionError):
                    complain(f"{name}: {entry}")
            failed |= isinstance(entry, TranscriptionError)
    if failed:
        raise typer.Exit(Exit.FAILED)
