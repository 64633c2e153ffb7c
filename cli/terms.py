"""What holds for every input of a command: how urgent it is, on whose behalf, by when, with which notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cli.interrupts import interrupts_wait
from cli.wishes import Wishes
from protocol.errors import RequestError
from protocol.metadata import check_metadata
from protocol.request import Priority, check_conversation, check_request_id, check_tenant

if TYPE_CHECKING:
    from producer.given import GivenForOne


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What `Client.submit` takes beside the audio and the options."""

    priority: Annotated[Priority, typer.Option(help="Urgent overtakes normal, normal overtakes bulk.")] = (
        Priority.NORMAL
    )
    request_id: Annotated[
        str | None,
        typer.Option(
            help="An id of yours, for one input: sent again with the same input, it is the same request.",
            metavar="ID",
        ),
    ] = None
    deadline: Annotated[
        float | None,
        typer.Option(
            help="When a transcript is late: refused if it cannot start by then.", metavar="SECONDS"
        ),
    ] = None
    expires: Annotated[
        float | None,
        typer.Option(
            help="When it is worth nothing: what has not started by then never runs.", metavar="SECONDS"
        ),
    ] = None
    conversation: Annotated[
        str | None,
        typer.Option(
            help="The inputs are the next turns of it: what was said before is the prompt of each.",
            metavar="ID",
        ),
    ] = None
    tenant: Annotated[
        str | None,
        typer.Option(
            help="On whose behalf: of what a worker holds of one priority, tenants take turns.",
            metavar="NAME",
        ),
    ] = None
    metadata: Annotated[
        list[str] | None,
        typer.Option(
            help="A note of yours that comes back in the JSON of each transcript. May be given again.",
            metavar="NAME=TEXT",
        ),
    ] = None

    def given(self, wishes: Wishes) -> GivenForOne:
        """What a client is given for every input; whatever is wrong with it is said before any is read.

        Raises:
            RequestError: a value is wrong.
        """
        with interrupts_wait():
            from producer.submission import check_ahead

        given: GivenForOne = {**wishes.options(), "priority": self.priority}
        given |= {"deadline": check_ahead("deadline", self.deadline)}
        given |= {"expires": check_ahead("expires", self.expires)}
        given |= {"conversation": check_conversation(self.conversation), "tenant": check_tenant(self.tenant)}
        given |= {"metadata": _notes(self.metadata or ())}
        if self.request_id is not None:
            given |= {"request_id": check_request_id(self.request_id)}
        return given

    def check(self, inputs: int) -> None:
        """Raise `RequestError` if they cannot hold for so many inputs."""
        if self.request_id is not None and inputs != 1:
            raise RequestError(f"--request-id names one request, and there are {inputs} inputs")


def _notes(written: Sequence[str]) -> dict[str, str] | None:
    """The notes by name; None for none."""
    notes: dict[str, str] = {}
    for one in written:
        name, equals, note = one.partition("=")
        if not equals or not name:
            raise RequestError(f"metadata is {one[:40]!r}: expected NAME=TEXT", "BAD_METADATA")
        if name in notes:
            raise RequestError(f"metadata has {name[:40]!r} twice", "BAD_METADATA")
        notes[name] = note
    return check_metadata(notes or None)
