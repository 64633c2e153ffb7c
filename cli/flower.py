"""`segue flower`: Flower on the same Redis, reachable from this machine only unless it has a password."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from cli.exits import Exit, ended

#: Flower's own variables and options that make it ask who is there.
AUTH_VARIABLES = ("FLOWER_BASIC_AUTH", "FLOWER_AUTH")
AUTH_OPTIONS = ("basic_auth", "auth")


def flower(
    context: typer.Context,
    address: Annotated[str, typer.Option(help="Address to listen on.", metavar="HOST")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535, metavar="PORT")
    ] = 5555,
    redis_url: Annotated[str | None, typer.Option(help="Where Redis is.", metavar="URL")] = None,
) -> None:
    """Run Flower, where every audio segment is a task to look at.

    Audio and text never appear in it. Without a password it listens on this machine only; to open it
    to others set FLOWER_BASIC_AUTH=user:password (a variable, since everyone on a machine can read
    command lines). Its pages /metrics and /healthcheck ask for no password even then.

    Whatever else is given goes to Flower as it stands, for example --max-tasks=10000.
    """
    if not is_loopback(address) and not asks_who_is_there(os.environ, context.args):
        raise ended(
            Exit.USAGE,
            f"Flower would be open to everyone who reaches {address}: set FLOWER_BASIC_AUTH=user:password",
        )
    environ = {**os.environ, **({"REDIS_URL": redis_url} if redis_url else {})}
    command = flower_command(address, port, context.args)
    os.execve(command[0], command, environ)  # noqa: S606 - signals then reach Flower directly


def flower_command(address: str, port: int, extra: Sequence[str]) -> list[str]:
    """The command line of Flower; options in `extra` come last and so have the last word."""
    program = [sys.executable, "-m", "celery", "-A", "workers", "flower"]
    return [*program, f"--address={address}", f"--port={port}", *extra]


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach `address`; a name that is not one of the usual is not trusted."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def asks_who_is_there(environ: Mapping[str, str], extra: Sequence[str]) -> bool:
    """Whether Flower has been told to authenticate its visitors: an empty password does not count."""
    given = (option.lstrip("-").partition("=") for option in extra)
    options = {name.replace("-", "_"): value for name, _, value in given}
    return any(options.get(name) for name in AUTH_OPTIONS) or any(map(environ.get, AUTH_VARIABLES))
