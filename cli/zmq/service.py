"""The service itself: one ROUTER socket, and for each message a task that answers it, whatever it is."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import zmq
import zmq.asyncio

from cli.zmq.actions import act
from cli.zmq.message import MAX_MESSAGE_BYTES, read_message, unwrapped, write_message
from producer import AsyncClient
from producer.plain import failed
from protocol.errors import Overloaded, QueueUnreachable, TranscriptionError

#: Most messages, and most bytes of them, that are worked on at a time; one more is told to come again. The
#: first bounds those who wait for a result, the second the memory: beside its text, a number is a Python
#: float (24 bytes), its place in a list (8) and one in an array (8).
MAX_MESSAGES = 1_000
MAX_BYTES = 4 * MAX_MESSAGE_BYTES

#: Messages up to this size, in bytes, are not counted among those bytes, so that who asks for a result or for
#: the health is not refused because others send sound: all that may be there at a time are 66 MB.
SMALL_BYTES = 65_536

#: Largest frame, in bytes, that ZeroMQ takes in at all: whoever sends more is cut off without an answer. So
#: far above the limit that honest mistakes are told, and that nobody's junk fills the memory.
MAX_FRAME_BYTES = 4 * MAX_MESSAGE_BYTES

#: Messages of one connection that ZeroMQ reads ahead. REQ sockets have one under way at a time.
READ_AHEAD = 2

#: How long answers may take to leave when the service ends, in milliseconds.
LINGER_MS = 1_000

_log = logging.getLogger(__name__)


class CannotListen(RuntimeError):
    """The address cannot be listened on; the message says why."""


class Service:
    """Answers the messages of one socket, over one client."""

    def __init__(self, socket: zmq.asyncio.Socket, client: AsyncClient) -> None:
        self._socket = socket
        self._client = client
        self._messages = 0
        self._bytes = 0

    async def answer_all(self) -> None:
        """Until cancelled; whoever waits for an answer then gets one that says so."""
        async with asyncio.TaskGroup() as answering:
            while True:
                envelope, body = unwrapped(await self._socket.recv_multipart())
                answering.create_task(self._answer(envelope, body))

    async def _answer(self, envelope: list[bytes], body: list[bytes]) -> None:
        size = sum(map(len, body))
        size = size if size > SMALL_BYTES else 0
        self._messages += 1
        self._bytes += size
        try:
            answer = await self._reply(body)
        finally:
            self._messages -= 1
            self._bytes -= size
        await self._socket.send_multipart([*envelope, answer])

    async def _reply(self, body: list[bytes]) -> bytes:
        """The answer, always: a REQ socket that gets none can never ask again."""
        try:
            self._check_room()
            return write_message(await act(self._client, read_message(body)))
        except TranscriptionError as error:
            return write_message(failed(error))
        except asyncio.CancelledError:
            return write_message(failed(QueueUnreachable("the service is stopping: ask again later")))
        except Exception:  # the one around one message, as there is one around one batch
            _log.exception("a message was answered with an error because of a mistake of ours")
            return write_message(failed(TranscriptionError("the service made a mistake: its log says which")))

    def _check_room(self) -> None:
        if self._messages > MAX_MESSAGES:
            raise Overloaded(f"the service is at work on {MAX_MESSAGES} messages, which is the limit")
        if self._bytes > MAX_BYTES:
            raise Overloaded(f"the service is at work on {MAX_BYTES} bytes of messages, which is the limit")


def run(endpoint: str, redis_url: str | None, announce: Callable[[str], None]) -> signal.Signals:
    """`serve`, in an event loop of its own."""
    return asyncio.run(serve(endpoint, redis_url, announce))


async def serve(endpoint: str, redis_url: str | None, announce: Callable[[str], None]) -> signal.Signals:
    """Listen and answer until SIGTERM or SIGINT; returns which.

    `announce` is called with the address once it is taken.

    Raises:
        CannotListen: the address is wrong or taken.
        BadAddress: Redis's is.
    """
    with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as socket:
        async with AsyncClient(redis_url) as client:
            where = listen(socket, endpoint)
            answering = asyncio.create_task(Service(socket, client).answer_all())
            caught = _signals()
            announce(where)
            ends: set[asyncio.Future[Any]] = {caught, answering}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            answering.cancel()
            with suppress(asyncio.CancelledError):
                await answering
    return caught.result()


def listen(socket: zmq.asyncio.Socket, endpoint: str) -> str:
    """Bind the socket, with its limits; returns the address, with the port that was taken for 0."""
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    socket.setsockopt(zmq.RCVHWM, READ_AHEAD)
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    socket.setsockopt(zmq.IPV6, "[" in endpoint)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        raise CannotListen(f"cannot listen on {endpoint}: {zmq.strerror(error.errno or 0)}") from None
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def _signals() -> asyncio.Future[signal.Signals]:
    """The first of the signals that end the service."""
    loop = asyncio.get_running_loop()
    caught: asyncio.Future[signal.Signals] = loop.create_future()

    def catch(number: signal.Signals) -> None:
        if not caught.done():
            caught.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, catch, number)
    return caught
