"""The verb that takes text: say."""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connecting import client_of
from cli.exits import Exit, complain, ended
from cli.gathered import gathered
from cli.interrupts import interrupts_wait
from cli.options import AsJson, RedisUrl
from cli.outcomes import Left, patiently, time_after, told_what_goes_on
from cli.room import submit_when_room
from cli.saying import say_json
from cli.terms import Terms
from cli.wishes import Wishes
from protocol.errors import TranscriptionError
from protocol.transcript import Transcript
from protocol.wire import encode_transcript

if TYPE_CHECKING:
    from producer import Client, Ticket
    from producer.given import GivenForOne

#: What the text is called where something is said of it: it may be long, and is nobody's business.
NAME = "the text"


@gathered(terms=Terms, wishes=Wishes)
def say(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Up to 4096 characters; - for standard input.")],
    wishes: Wishes,
    terms: Terms,
    file: Annotated[
        Path | None,
        typer.Option("--output-file", "-o", help="Write the audio that comes back here.", metavar="FILE"),
    ] = None,
    as_json: AsJson = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            help="How long to wait in all; else as long as a worker answers.", min=0, metavar="SECONDS"
        ),
    ] = None,
    redis_url: RedisUrl = None,
) -> None:
    """Send a text to a model that takes it, such as a voice.

    The audio that it makes goes into a file; with --json, all that comes back goes to standard output,
    such as an embedding, and the audio too if there is no file. If the wait ends early the request goes
    on: its id is on standard error, for `segue result --json`.
    """
    if file is None and not as_json:
        raise ended(Exit.USAGE, "nowhere to put what comes back: give --output-file or --json")
    given = terms.given(wishes)
    give_up_at = time_after(timeout)
    content = sys.stdin.read().removesuffix("\n") if text == "-" else text
    with client_of(redis_url) as client:
        outcome = _outcome(client, content, given, give_up_at, redis_url)
    if isinstance(outcome, TranscriptionError):
        complain(f"{NAME}: {outcome}")
        raise typer.Exit(Exit.FAILED)
    if file is not None:
        _save(outcome, file)
    if as_json:
        line = encode_transcript(outcome)
        say_json(line if file is None else {**line, "audio": None, "output": str(file)})


def _outcome(
    client: Client, content: str, given: GivenForOne, give_up_at: float, redis_url: str | None
) -> Transcript | TranscriptionError:
    left: Left = deque()

    def submit() -> Ticket:
        with interrupts_wait():
            from producer import Text

            ticket = client.submit(Text(content), **given)
            left.append((NAME, ticket))
        return ticket

    with told_what_goes_on(left):
        entry = submit_when_room(submit, give_up_at, redis_url)
        if isinstance(entry, TranscriptionError):
            return entry
        return patiently(entry.result, give_up_at, redis_url)


def _save(transcript: Transcript, file: Path) -> None:
    if transcript.audio is None:
        raise ended(Exit.FAILED, f"the model {transcript.model} made no audio of it: --json has what it made")
    try:
        file.write_bytes(transcript.audio)
    except OSError as error:
        raise ended(Exit.FAILED, f"{file} cannot be written: {error.strerror}") from error
