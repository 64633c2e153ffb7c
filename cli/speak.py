"""The verb that takes text: say."""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
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
from protocol.request import MAX_CHARACTERS
from protocol.transcript import Transcript
from protocol.wire import encode_transcript

if TYPE_CHECKING:
    from producer import Client, Ticket
    from producer.given import GivenForOne

#: As many bytes a text may have, in UTF-8.
MOST_BYTES = 4 * MAX_CHARACTERS


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
    _check_place(file, as_json=as_json)
    given = terms.given(wishes)
    give_up_at = time_after(timeout)
    content = _from_standard_input() if text == "-" else text
    left: Left = deque()
    with client_of(redis_url) as client, told_what_goes_on(left):
        outcome = submit_when_room(lambda: _submit(client, content, given, left), give_up_at, redis_url)
        if not isinstance(outcome, TranscriptionError):
            shown = _Shown(file=file, as_json=as_json, request_id=outcome.request_id)
            failed = shown.show(patiently(outcome.result, give_up_at, redis_url))
        else:
            complain(outcome)
            failed = True
    if failed:
        raise typer.Exit(Exit.FAILED)


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
    content = sys.stdin.buffer.read(MOST_BYTES + 2)
    if len(content) > MOST_BYTES + 1:
        raise ended(Exit.FAILED, f"the text has more than {MOST_BYTES} bytes, {MAX_CHARACTERS} characters")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """Where what comes back goes."""

    file: Path | None
    as_json: bool
    request_id: str

    def show(self, outcome: Transcript | TranscriptionError) -> bool:
        """Put it there; returns whether something is wrong with it."""
        if isinstance(outcome, TranscriptionError):
            complain(outcome)
            return True
        failed = self.file is not None and not self._save(outcome, self.file)
        if self.as_json:
            line = encode_transcript(outcome)
            if self.file is not None and not failed:
                del line["audio"]
                line["output"] = str(self.file)
            say_json(line)
        return failed

    def _save(self, transcript: Transcript, file: Path) -> bool:
        try:
            if transcript.audio is None:
                complain(f"the model {transcript.model} made no audio of it{self._kept}")
                return False
            file.write_bytes(transcript.audio)
        except OSError as error:
            complain(f"{file} cannot be written: {error.strerror}{self._kept}")
            return False
        return True

    @property
    def _kept(self) -> str:
        return f"; all it made is kept: `segue result {self.request_id} --json`"
