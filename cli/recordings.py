"""Recordings, files that are too long for one request: transcribed in parts, as if they were not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from cli.exits import complain
from protocol.errors import QueueUnreachable
from protocol.request import MAX_SECONDS
from protocol.transcript import Status, Transcript

if TYPE_CHECKING:
    from producer import Client, RecordingTicket, Ticket
    from producer.assembly import RecordingProgress

#: What an audio file is refused with that may be transcribed as a recording.
TOO_LONG_FOR_ONE = frozenset({"TOO_LONG", "TOO_LARGE"})

#: Seconds of `--max-segment-seconds`: the shortest in which a sentence fits.
SHORTEST = 1.0


class Split(StrEnum):
    """Where it is cut: the names of `producer.reading.Split`."""

    VAD = "vad"
    ENERGY = "energy"
    FIXED = "fixed"


Splits = Annotated[
    Split,
    typer.Option(
        "--split", help="Where: in pauses that a model hears, where it is quiet, or wherever a part is full."
    ),
]
SegmentSeconds = Annotated[
    float,
    typer.Option(
        help="A longer file is cut in its pauses into parts of at most this.",
        min=SHORTEST,
        max=MAX_SECONDS,
        metavar="SECONDS",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutting:
    """How long files are cut into parts."""

    split: Split = Split.VAD
    max_segment_seconds: float = MAX_SECONDS

    def begin(self, client: Client, audio: Path | BinaryIO, **given: Any) -> RecordingTicket:
        """Enqueue the first part of a long file; who waits for it moves the rest on.

        Raises as `Client.submit_recording` does.
        """
        return client.submit_recording(
            audio, split=self.split.value, max_segment_seconds=self.max_segment_seconds, **given
        )


def look_up(
    client: Client, request_ids: Sequence[str]
) -> Iterator[tuple[str, Ticket | RecordingTicket, Status]]:
    """Each id with its ticket and where it is: a recording's if it is known as one, and not as a request.

    Raises:
        RequestError: there can be no such id.
        QueueUnreachable: Redis does not answer.
    """
    for name, where in zip(request_ids, client.statuses(request_ids), strict=True):
        if where is Status.UNKNOWN:
            recording = client.get_recording(name)
            if (status := recording.status) is not Status.UNKNOWN:
                yield name, recording, status
                continue
        yield name, client.get(name), where


def failures(entry: object) -> list[dict[str, Any]] | None:
    """What is missing of a recording; None of what is none."""
    from producer.recording import RecordingTicket

    return [asdict(one) for one in entry.failures] if isinstance(entry, RecordingTicket) else None


def is_partial(name: str, entry: object, outcome: object) -> bool:
    """Whether something of a recording is missing; what, is said on standard error."""
    from producer.recording import RecordingTicket

    if not isinstance(entry, RecordingTicket) or not isinstance(outcome, Transcript):
        return False
    for warning in outcome.warnings:
        complain(f"{name}: {warning}")
    return bool(entry.failures)


def give_up(name: str, entry: object) -> bool:
    """Cancel `entry` if it is a recording that is not enqueued to its end, which nobody will do any more.

    Half of one is of no use to anybody later; one that is enqueued goes on, as requests do.
    """
    from producer.recording import RecordingTicket

    if not isinstance(entry, RecordingTicket) or entry.progress.is_read:
        return False
    try:
        entry.cancel()
    except QueueUnreachable:
        complain(f"{name}: left at {shown(entry.progress)}, as recording {entry.request_id}")
    else:
        complain(f"{name}: cancelled at {shown(entry.progress)}")
    return True


def shown(progress: RecordingProgress) -> str:
    """How far a recording is, for people to read."""
    of = "of" if progress.is_read else "of at least"
    return f"{_clock(progress.seconds_ended)} {of} {_clock(progress.seconds_read)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
