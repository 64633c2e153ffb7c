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
from cli.options import AsJson, Patience, RedisUrl
from cli.outcomes import Left, patiently, time_after, told_what_goes_on
from cli.room import submit_when_room
from cli.saying import say_json
from cli.terms import Terms
from cli.wishes import Wishes
from protocol.errors import TranscriptionError
from protocol.request import MAX_CHARACTERS, MAX_TEXT_BYTES
from protocol.transcript import Transcript
from protocol.wire import encode_transcript

if TYPE_CHECKING:
    from producer import Client, Ticket
    from producer.given import GivenForOne


@gathered(terms=Terms, wishes=Wishes)
def say(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help="Up to 4096 characters; - for standard input, also for what begins with a dash.",
        ),
    ],
    wishes: Wishes,
    terms: Terms,
    file: Annotated[
        Path | None,
        typer.Option("--output-file", "-o", help="Write the audio that comes back here.", metavar="FILE"),
    ] = None,
    as_json: AsJson = False,
    timeout: Patience = None,
    redis_url: RedisUrl = None,
) -> None:
    """Send a text to a model that takes it, such as a voice.

    The audio that it makes goes into a file; with --json, all that comes back goes to standard output,
    such as an embedding, and the audio too if there is no file. If the wait ends early the request goes
    on: its id is on standard error, for `segue result --json`.
    """
    _check_place(file, as_json=as_json)
    given = terms.given(wishes)
    give_up_at = time_after(timeout)
    content = _from_standard_input() if text == "-" else text
    left: Left = deque()
    with client_of(redis_url) as client, told_what_goes_on(left):
        entry = submit_when_room(lambda: _submit(client, content, given, left), give_up_at, redis_url)
        if isinstance(entry, TranscriptionError):
            raise ended(Exit.FAILED, entry)
        outcome = patiently(entry.result, give_up_at, redis_url)
        if isinstance(outcome, TranscriptionError):
            raise ended(Exit.FAILED, outcome)
        _show(outcome, file, as_json=as_json)


def _check_place(file: Path | None, *, as_json: bool) -> None:
    """Refuse before anything is sent what could not be kept."""
    if file is None and not as_json:
        raise ended(Exit.USAGE, "nowhere to put what comes back: give --output-file or --json")
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        raise ended(Exit.USAGE, f"{file} cannot be written: it is a folder, or its folder is not there")
    if file == Path("-"):
        raise ended(Exit.USAGE, "audio goes into a file, not to standard output: /dev/stdout is one")


def _from_standard_input() -> str:
    """Its text, without the line's end that a shell puts behind one; read no further than may be sent."""
    if sys.stdin is None:
        raise ended(Exit.FAILED, "there is no standard input")
    content = sys.stdin.buffer.read(MAX_TEXT_BYTES + 2)
    if len(content) > MAX_TEXT_BYTES + 1:
        raise ended(
            Exit.FAILED, f"the text has more than {MAX_TEXT_BYTES} bytes, {MAX_CHARACTERS} characters"
        )
    try:
        return content.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise ended(Exit.FAILED, f"the text is not UTF-8 at byte {error.start}") from None


def _submit(client: Client, content: str, given: GivenForOne, left: Left) -> Ticket:
    with interrupts_wait():
        from producer import Text

        ticket = client.submit(Text(content), **given)
        left.append(("the text", ticket))
    return ticket


def _show(transcript: Transcript, file: Path | None, *, as_json: bool) -> None:
    """Put it where it belongs; what has no file is not lost by that."""
    failure = None if file is None else _failure_to_save(transcript, file)
    if failure is not None:
        complain(f"{failure}; all it made is kept: `segue result {transcript.request_id} --json`")
    if as_json:
        line = encode_transcript(transcript)
        if file is not None and failure is None:
            del line["audio"]
            line["output"] = str(file)
        say_json(line)
    if failure is not None:
        raise typer.Exit(Exit.FAILED)


def _failure_to_save(transcript: Transcript, file: Path) -> str | None:
    """Why its audio is not in the file now; None if it is."""
    if transcript.audio is None:
        return f"the model {transcript.model} made no audio of it"
    try:
        file.write_bytes(transcript.audio)
    except OSError as error:
        return f"{file} cannot be written: {error.strerror}"
    return None
