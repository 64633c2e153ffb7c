"""`segue zmq` as a process of its own, and sockets that ask it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

from cli.leash import Leashed

#: How long the service may take to start, and an answer to come, in seconds: a busy machine must not fail a
#: test.
READY_SECONDS = 60.0


@contextmanager
def zmq_service(redis_url: str, folder: Path) -> Iterator[tuple[Leashed, str]]:
    """The service on a free port, ready: its process, and the address to connect to."""
    command = [sys.executable, "-m", "cli.main", "zmq", "--port", "0"]
    env = {**os.environ, "REDIS_URL": redis_url}
    with Leashed(command, log=folder / "zmq.log", env=env) as service:
        ready = service.wait_for_line(r"requests on (tcp://127\.0\.0\.1:\d+)$", READY_SECONDS)
        yield service, ready[1]


@contextmanager
def asking(endpoint: str, kind: int = zmq.REQ) -> Iterator[zmq.Socket[bytes]]:
    """A socket of this kind, connected; it gives up on an answer with `zmq.Again`."""
    with zmq.Context() as context, context.socket(kind) as socket:
        socket.setsockopt(zmq.RCVTIMEO, round(READY_SECONDS * 1_000))
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(endpoint)
        yield socket


def ask(endpoint: str, **message: Any) -> dict[str, Any]:
    """The answer to one message."""
    with asking(endpoint) as socket:
        socket.send_json(message)
        return answer(socket)


def answer(socket: zmq.Socket[bytes]) -> dict[str, Any]:
    """The next answer; a DEALER gets it behind the same empty frame that it asked with."""
    *_, body = socket.recv_multipart()
    read = json.loads(body)
    assert isinstance(read, dict)
    return read
