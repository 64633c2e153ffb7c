"""Files that are too long for one request: transcribed in parts, as if they were not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from cli.exits import complain
from protocol.request import MAX_SECONDS
from protocol.transcript import Transcript

if TYPE_CHECKING:
    from producer import Client
    from producer.assembly import RecordingProgress
    from producer.recording import RecordingTicket

#: What an audio file is refused with that may be transcribed as a recording.
TOO_LONG_FOR_ONE = frozenset({"TOO_LONG", "TOO_LARGE"})

#: Seconds of `--max-segment-seconds`: the shortest in which a sentence fits.
SHORTEST = 1.0

SegmentSeconds = Annotated[
    float,
    typer.Option(
        help="A longer file is cut in its pauses into parts of at most this.",
        min=SHORTEST,
        max=MAX_SECONDS,
        metavar="SECONDS",
    ),
]


def begin(
    client: Client, audio: Path | BinaryIO, *, max_segment_seconds: float, **given: Any
) -> RecordingTicket:
    """Enqueue the first part of a long file; who waits for it moves the rest on.

    Raises:
        RequestError: nothing of it can be read.
    """
    return client.submit_recording(audio, max_segment_seconds=max_segment_seconds, **given)


def is_partial(name: str, entry: object, outcome: object) -> bool:
    """Whether something of a recording is missing; what, is said on standard error."""
    from producer.recording import RecordingTicket

    if not isinstance(entry, RecordingTicket) or not isinstance(outcome, Transcript):
        return False
    for warning in outcome.warnings:
        complain(f"{name}: {warning}")
    return bool(entry.failures)


def give_up(name: str, entry: object) -> bool:
    """Cancel `entry` if it is a recording: half of one is of no use to anybody later."""
    from producer.recording import RecordingTicket

    if not isinstance(entry, RecordingTicket):
        return False
    complain(f"{name}: cancelled at {shown(entry.progress)}")
    entry.cancel()
    return True


def shown(progress: RecordingProgress) -> str:
    """How far a recording is, for people to read."""
    of = "of" if progress.is_read else "of at least"
    return f"{_clock(progress.seconds_ended)} {of} {_clock(progress.seconds_read)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
