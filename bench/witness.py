"""Redis as a witness: its append-only file says what was stored, in order, whoever has forgotten it since.

Scripts appear in it as the writes that they made, so that nothing has to be added to workers or producers to
learn which request was accepted, given to an engine, returned, or settled. Format of the file:
https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import redis

from bench.history import Event, What, final_event
from cli.local_redis import LocalRedis
from protocol.routing import DEATHS_KEY_PREFIX, INFLIGHT_KEY_PREFIX, RESULT_KEY_PREFIX
from workers.transport.claims import LANES

#: The field of a worker's record that says what its engine runs: ``<field> <request_id>`` for each.
RUNNING = "running"


def keep_everything(server: LocalRedis) -> None:
    """Have all writes in the file before they are answered, and none of them summed up.

    Synced each second, Redis may hold writes back while the disk is busy with the last sync (`aof.c`,
    `flushAppendOnlyFile`); not synced at all, they are the kernel's as soon as they are answered, which is
    what survives a killed process, though not a power cut.
    """
    server.configure("auto-aof-rewrite-percentage", "0")
    server.configure("appendfsync", "no")


def events_in(folder: Path, start: int = 0) -> Iterator[Event]:
    """What the append-only file of the server in `folder` says from byte `start` on."""
    with appended(folder).open("rb") as file:
        file.seek(start)
        for command in commands(file):
            yield from _events(command)


def appended(folder: Path) -> Path:
    """The file to which the server in `folder` appends."""
    return max((folder / "appendonlydir").glob("*.incr.aof"))


def commands(file: BinaryIO) -> Iterator[list[bytes]]:
    """The commands in the file, without a last one that was cut off."""
    while line := file.readline():
        if line.startswith(b"*") and line.endswith(b"\n"):  # anything else is an annotation
            arguments = [_argument(file) for _ in range(int(line[1:]))]
            command = [argument for argument in arguments if argument is not None]
            if len(command) == len(arguments):
                yield command


def _argument(file: BinaryIO) -> bytes | None:
    """The next argument of a command; None if it was cut off."""
    line = file.readline()
    if not line.endswith(b"\n"):
        return None
    length = int(line[1:])
    argument = file.read(length + len("\r\n"))
    return argument[:length] if len(argument) == length + len("\r\n") else None


def messages_left(server: redis.Redis) -> int:
    """How many messages are in the queue or in anybody's record, whether they live or not."""
    records: list[Any] = list(server.scan_iter(INFLIGHT_KEY_PREFIX + "*", count=10_000))
    held: list[Any] = [field for record in records for field in server.hkeys(record)]
    waiting: list[Any] = [server.llen(lane) for lane in LANES]
    return int(sum(waiting)) + sum(b":" in field for field in held)


def _events(command: list[bytes]) -> Iterator[Event]:
    """What one command says."""
    name, *arguments = command
    verb, key = name.upper(), arguments[0].decode("utf-8", "replace") if arguments else ""
    if verb in (b"LPUSH", b"RPUSH") and key in LANES:
        what = What.ACCEPTED if verb == b"LPUSH" else What.RETURNED
        yield from (Event(what=what, request_id=one) for one in map(_id_of, arguments[1:]) if one)
    elif verb in (b"SET", b"INCR") and key.startswith(DEATHS_KEY_PREFIX):
        yield Event(what=What.DIED, request_id=key.removeprefix(DEATHS_KEY_PREFIX))
    elif verb in (b"SET", b"SETEX") and key.startswith(RESULT_KEY_PREFIX):
        stored = arguments[1] if verb == b"SET" else arguments[2]
        event = final_event(What.STORED, key.removeprefix(RESULT_KEY_PREFIX), stored)
        if event:
            yield event
    elif verb == b"HSET" and key.startswith(INFLIGHT_KEY_PREFIX) and arguments[1].decode() == RUNNING:
        worker = key.removeprefix(INFLIGHT_KEY_PREFIX)
        for request_id in arguments[2].decode().split()[1::2]:
            yield Event(what=What.RUN, request_id=request_id, by=worker)


def _id_of(message: bytes) -> str:
    """The request that a message is about; empty if it makes no sense."""
    try:
        name = json.loads(message)["headers"]["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return name if isinstance(name, str) else ""
