"""`segue dead`: what did not come through, to be looked at, run again or dropped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit, Verbs, ended
from cli.saying import say, say_json

if TYPE_CHECKING:
    from workers.transport.dead import Dead, DeadOnes

app = typer.Typer(
    name="dead",
    cls=Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,  # `segue` itself does that
    help="Look at what did not come through: requests that took their engine down again and again, which are"
    " kept for a week with their audio, and messages that no worker understood.",
)

Names = Annotated[list[str], typer.Argument(metavar="NAME", help="As `segue dead list` shows them.")]
RedisUrl = Annotated[str | None, typer.Option(help="Where Redis is.", metavar="URL")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a line of JSON for each.")]

#: Bytes of a message that are shown: its headers, which say who sent it, and not all of what a stranger sent.
SHOWN_BYTES = 2_000


@app.command(name="list")
def list_all(as_json: AsJson = False, redis_url: RedisUrl = None) -> None:
    """List them, newest first."""
    with _dead_ones(redis_url) as kept:
        found = kept.list()
    if as_json:
        for one in found:
            say_json(_described(one))
        return
    for one in found:
        say(f"{one.name}  {_when(one)}  {one.reason}")
    if not found:
        typer.echo("Nothing is dead.", err=True)


@app.command()
def show(name: Annotated[str, typer.Argument(metavar="NAME")], redis_url: RedisUrl = None) -> None:
    """Show one of them whole, as JSON.

    Why it is here, and the beginning of the message as it was sent. Audio is not shown, unless the message
    itself holds it.
    """
    with _dead_ones(redis_url) as kept:
        say(json.dumps(_described(kept.show(name)), indent=2))


@app.command()
def retry(names: Names, redis_url: RedisUrl = None) -> None:
    """Let requests run again under their ids, as if they had never died."""
    with _dead_ones(redis_url) as kept:
        for name in names:
            kept.retry(name)
            say(f"{name} is queued again")


@app.command()
def drop(names: Names, redis_url: RedisUrl = None) -> None:
    """Forget them, with their audio.

    What whoever submitted them is told stays as it is.
    """
    with _dead_ones(redis_url) as kept:
        for name in names:
            kept.drop(name)
            say(f"{name} is dropped")


@contextmanager
def _dead_ones(redis_url: str | None) -> Iterator[DeadOnes]:
    from producer.connection import connect, redis_errors
    from workers.transport.dead import AudioGone, DeadOnes, NotDead

    with connect(redis_url) as connection, redis_errors():
        try:
            yield DeadOnes(connection)
        except (AudioGone, NotDead) as error:
            raise ended(Exit.FAILED, error) from None


def _described(one: Dead) -> dict[str, object]:
    return {
        "name": one.name,
        "died_at": None if one.died_at is None else _when(one),
        "reason": one.reason,
        "audio_bytes": one.audio_bytes,
        "message": one.message[:SHOWN_BYTES].decode("utf-8", "backslashreplace"),
    }


def _when(one: Dead) -> str:
    if one.died_at is None:
        return "-"
    return datetime.fromtimestamp(one.died_at, UTC).isoformat(timespec="seconds")
