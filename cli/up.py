"""`segue up`: Redis, a worker and Flower on this machine, from one command, until Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit, complain, ended

if TYPE_CHECKING:
    from cli.leash import Leashed

#: How long Flower may take to start, in seconds; on two busy cores it takes about 3. A worker has as long as
#: its settings give its model, and this.
START_SECONDS = 60.0

#: What a worker needs beyond its `shutdown_grace` to give everything back, in seconds.
STOP_SECONDS = 10.0

#: How often it is looked whether everything still runs, in seconds.
LOOK_EVERY_SECONDS = 1.0

#: Where Flower is found on every machine, if nothing else is there.
FLOWER_PORT = 5555

WORKER_LOG = "worker.log"


class Stopped(RuntimeError):
    """Something that should go on until Ctrl-C has ended by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where it all runs."""

    folder: Path
    """Of the logs, and of what our own Redis keeps."""
    environ: Mapping[str, str]
    load_seconds: float
    """How long the model may take to load."""
    stop_seconds: float
    """How long the worker may take to end."""


def up(
    model: Annotated[
        str | None,
        typer.Option(help="As for `segue worker`; demo is the small packaged one.", metavar="MODEL"),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML or TOML file with settings.", metavar="FILE")
    ] = None,
    redis_url: Annotated[
        str | None,
        typer.Option(help="A Redis that is there; else REDIS_URL, else one is started.", metavar="URL"),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Keep Redis's data and the logs here.", metavar="DIR")
    ] = None,
    flower_port: Annotated[
        int | None,
        typer.Option(help="Else 5555, or a free one where that is taken.", min=1, max=65535, metavar="PORT"),
    ] = None,
) -> None:
    """Run Redis, a worker and Flower on this machine, until Ctrl-C.

    Says where everything is, and what to tell other terminals. Redis is the one that is given, or one of
    its own, which forgets everything at the end unless --folder says where to keep it. If the worker or
    Flower ends by itself all of it does, with the reason.

    Everything else is set as for `segue worker`, by a file or by variables (SEGUE_DEVICE, …).
    """
    from cli.leash import DidNotStart
    from cli.local_redis import NoServer

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # as Ctrl-C: an end that cleans up
    kept = folder.absolute() if folder else Path(tempfile.mkdtemp(prefix="segue-up-"))
    kept.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as running:
            _run(running, kept, config, {"model": model, "redis_url": redis_url}, flower_port)
    except (DidNotStart, NoServer, Stopped) as error:
        raise ended(Exit.FAILED, f"{error}\nsegue: the logs are in {kept}") from None
    except KeyboardInterrupt:
        complain("interrupted; all that was started has been stopped")
        if folder is None:
            shutil.rmtree(kept, ignore_errors=True)
        raise


def _run(
    running: ExitStack, folder: Path, config: Path | None, flags: Mapping[str, str | None], port: int | None
) -> None:
    """Start one after the other, say where each is, and go on until one of them ends."""
    from cli.worker import checked_settings, variables_of

    loaded = checked_settings(config, flags)
    environ = {**os.environ, **variables_of(config, flags)}
    settings, is_given = loaded.settings, ("redis_url",) in loaded.given
    if is_given:
        _check_redis(settings.redis_url)
    else:
        environ["REDIS_URL"] = running.enter_context(_redis(folder))
    typer.echo(f"Redis   {'the one that was given' if is_given else environ['REDIS_URL']}")
    place = Place(
        folder=folder,
        environ=environ,
        load_seconds=settings.load_timeout + START_SECONDS,
        stop_seconds=settings.shutdown_grace + STOP_SECONDS,
    )
    flower, address = running.enter_context(_flower(place, port or _port()))
    typer.echo(f"Flower  {address}")
    typer.echo(f"worker  loads {settings.model}; its log: {folder / WORKER_LOG}")
    worker = running.enter_context(_worker(place))
    if not is_given:
        typer.echo(f"In other terminals: export REDIS_URL={environ['REDIS_URL']}")
    typer.echo("Ready. Ctrl-C stops all of it.")
    _watch({"the worker": worker, "Flower": flower})


def _check_redis(url: str) -> None:
    """Raise `QueueUnreachable` now, rather than let a worker try for ever."""
    from producer import Client

    with Client(url) as client:
        client.queue_depth()


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    from cli.local_redis import LocalRedis

    with LocalRedis(folder / "redis") as server:
        yield server.url


@contextmanager
def _flower(place: Place, port: int) -> Iterator[tuple[Leashed, str]]:
    from cli.flower import flower_command
    from cli.leash import Leashed

    command = flower_command("127.0.0.1", port, [])
    with Leashed(command, log=place.folder / "flower.log", env=place.environ) as flower:
        yield flower, flower.wait_for_line(r"Visit me at (http://\S+)", START_SECONDS)[1]


@contextmanager
def _worker(place: Place) -> Iterator[Leashed]:
    from cli.leash import Leashed
    from cli.worker import worker_command

    command = worker_command(place.environ.get("SEGUE_LOG_LEVEL", "INFO"), [])
    log = place.folder / WORKER_LOG
    with Leashed(command, log=log, env=place.environ, grace=place.stop_seconds) as worker:
        worker.wait_for_line(r" ready\.$", place.load_seconds)
        yield worker


def _watch(running: Mapping[str, Leashed]) -> None:
    """Go on until one of them ends. Raises `Stopped`."""
    (first, *_) = running.values()
    while all(one.poll() is None for one in running.values()):
        try:
            first.wait(LOOK_EVERY_SECONDS)
        except TimeoutError:
            continue
    name, one = next((name, one) for name, one in running.items() if one.poll() is not None)
    raise Stopped(f"{name} ended with status {one.poll()}")


def _port() -> int:
    """Flower's own port, or 0, which is any free one, where somebody else has that."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", FLOWER_PORT))
        except OSError:
            return 0
    return FLOWER_PORT
