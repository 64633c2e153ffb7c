"""Inputs on their way to the queue: each as one request, or as a recording if it is too long for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from cli.exits import complain
from cli.inputs import Input, Piped
from cli.interrupts import interrupts_wait
from cli.recordings import TOO_LONG_FOR_ONE, Cutting
from cli.room import submit_when_room
from protocol.errors import RequestError, TranscriptionError

if TYPE_CHECKING:
    from producer import Client, RecordingTicket, Ticket
    from producer.given import GivenForOne

Entry: TypeAlias = "Ticket | RecordingTicket | TranscriptionError"
"""What is waited for, or why it is not on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Under which terms the inputs of one command are sent."""

    client: Client
    given: GivenForOne
    cutting: Cutting
    give_up_at: float
    """Until when to wait for room, on the monotonic clock."""
    redis_url: str | None
    sent: Callable[[str, Entry], object]
    """Told of each input what became of it, before Ctrl-C can come between."""

    def send(self, one: Input) -> tuple[str, Entry]:
        """Enqueue one input, or the first part of it; its name, and its ticket or its error.

        Raises:
            NoWorker: there is no room, and nobody who makes any.
            QueueUnreachable: Redis does not answer.
        """
        if isinstance(one, tuple):
            return self._told(*one)
        entry: Entry = submit_when_room(lambda: self._submit(one), self.give_up_at, self.redis_url)
        if isinstance(entry, RequestError) and entry.code in TOO_LONG_FOR_ONE:
            entry = self._submit_in_parts(one)
        if isinstance(entry, TranscriptionError):
            return self._told(str(one), entry)
        for warning in getattr(entry, "warnings", ()):
            complain(f"{one}: {warning}")
        return str(one), entry

    def _submit(self, one: Path | Piped) -> Ticket:
        with interrupts_wait():
            ticket = self.client.submit(_audio(one), **self.given)
            self.sent(str(one), ticket)
        return ticket

    def _submit_in_parts(self, one: Path | Piped) -> Entry:
        with interrupts_wait():
            try:
                ticket = self.cutting.begin(self.client, _audio(one), **self.given)
            except TranscriptionError as error:
                return error
            self.sent(str(one), ticket)
        return ticket

    def _told(self, name: str, entry: Entry) -> tuple[str, Entry]:
        self.sent(name, entry)
        return name, entry


def _audio(one: Path | Piped) -> Path | BinaryIO:
    return one.again() if isinstance(one, Piped) else one
