"""What holds for every input of a command: how urgent it is, on whose behalf, by when, with which notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli.interrupts import interrupts_wait
from cli.wishes import Wishes
from protocol.errors import RequestError
from protocol.metadata import check_metadata
from protocol.request import Priority, check_conversation, check_tenant

if TYPE_CHECKING:
    from producer.given import GivenForOne

Urgency = Annotated[Priority, typer.Option(help="Urgent overtakes normal, normal overtakes bulk.")]
Deadline = Annotated[
    float | None,
    typer.Option(help="When a transcript is late: refused if it cannot start by then.", metavar="SECONDS"),
]
Conversation = Annotated[
    str | None,
    typer.Option(
        help="The files are the next turns of it: what was said before is the prompt of each.",
        metavar="ID",
    ),
]
Tenant = Annotated[
    str | None,
    typer.Option(
        help="On whose behalf: of what a worker holds of one priority, tenants take turns.",
        metavar="NAME",
    ),
]
Notes = Annotated[
    list[str] | None,
    typer.Option(
        "--metadata",
        help="A note of yours that comes back in the JSON of each transcript. May be given again.",
        metavar="NAME=TEXT",
    ),
]


def terms(
    wishes: Wishes,
    *,
    priority: Priority,
    deadline: float | None,
    conversation: str | None,
    tenant: str | None,
    metadata: Sequence[str] | None,
) -> GivenForOne:
    """What a client is given for every input; whatever is wrong with it is said once, before any is read.

    Raises:
        RequestError: a value is wrong.
    """
    with interrupts_wait():
        from producer.submission import check_ahead

    given: GivenForOne = {**wishes.options(), "priority": priority}
    given |= {"deadline": check_ahead("deadline", deadline)}
    given |= {"conversation": check_conversation(conversation), "tenant": check_tenant(tenant)}
    given |= {"metadata": _notes(metadata or ())}
    return given


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
