"""The verb `segue zmq`: what it listens on, whom it lets in, and how it ends."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from cli.exits import Exit, ended
from cli.flower import is_loopback


def zmq(
    address: Annotated[str, typer.Option(help="IP address to listen on.", metavar="HOST")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535, metavar="PORT")
    ] = 5800,
    public: Annotated[
        bool, typer.Option("--public", help="Allow an address that other machines can reach.")
    ] = False,
    redis_url: Annotated[str | None, typer.Option(help="Where Redis is.", metavar="URL")] = None,
) -> None:
    """Take requests over ZeroMQ and answer them.

    For REQ sockets, until SIGTERM or Ctrl-C. A message is one JSON object; its "action" says what to do:

    \b
    queue_for_batch    audio_data, [sample_rate, language, request_id]
    transcribe_batch   batch_data, [language, model_pref, timeout]
    result             request_id, [timeout]
    status             request_id
    health

    audio_data is a list of samples, 16 000 a second if sample_rate does not say otherwise. The answer
    is a JSON object too, whose "status" is "success" or "error".

    It asks nobody for a password: whoever reaches the port may use it, and read the results of all
    ids that they know. So it listens on this machine only, unless told --public.

    It needs pyzmq: pip install 'segue[zmq]'. docs/predecessor.md shows each action.
    """
    if "/" in address:
        raise ended(Exit.USAGE, f"--address is {address}: expected an IP address; --port says the port")
    if not public and not is_loopback(address):
        raise ended(
            Exit.USAGE,
            f"everyone who reaches {address} could use the service, which asks for no password:"
            " give --public if that is meant",
        )
    try:
        from cli.zmq.service import CannotListen, run
    except ModuleNotFoundError as missing:
        if missing.name != "zmq":
            raise
        raise ended(Exit.USAGE, "segue zmq needs pyzmq: pip install 'segue[zmq]'") from None
    try:
        caught = run(endpoint(address, port), redis_url, announce)
    except CannotListen as error:
        raise ended(Exit.USAGE, error) from None
    if caught is signal.SIGINT:
        raise typer.Exit(Exit.INTERRUPTED)


def announce(where: str) -> None:
    """Say that requests are taken from now on."""
    typer.echo(f"segue: answers ZeroMQ requests on {where}")


def endpoint(address: str, port: int) -> str:
    """The address as ZeroMQ writes it; it binds to no names."""
    host = "127.0.0.1" if address == "localhost" else address
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
