"""The ZeroMQ service: frames become a message or an error, and a mistake of ours is answered too."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import pytest
import zmq
import zmq.asyncio
from hypothesis import given
from hypothesis import strategies as st

from cli.zmq.command import endpoint
from cli.zmq.message import read_message, unwrapped
from cli.zmq.service import Service, listen
from producer import AsyncClient
from protocol.errors import RequestError


@pytest.mark.parametrize(
    ("frames", "envelope", "body"),
    [
        ([b"id", b"", b"{}"], [b"id", b""], [b"{}"]),
        ([b"id", b"{}"], [b"id"], [b"{}"]),
        ([b"id", b"proxy", b"", b"{}"], [b"id", b"proxy", b""], [b"{}"]),
        ([b"id", b"", b""], [b"id", b""], [b""]),
        ([b"id", b"", b"1", b"", b"2"], [b"id", b""], [b"1", b"", b"2"]),
        ([b"id"], [b"id"], []),
    ],
)
def test_the_answer_goes_back_as_the_message_came(
    frames: list[bytes], envelope: list[bytes], body: list[bytes]
) -> None:
    """The envelope ends with the first empty frame, or is the sender alone."""
    assert unwrapped(frames) == (envelope, body)


@given(
    st.lists(
        st.binary(max_size=40) | st.text(alphabet='{}[]":,.0aeN\\u', max_size=40).map(str.encode), max_size=2
    )
)
def test_no_bytes_whatever_are_more_than_an_error(body: list[bytes]) -> None:
    """Whatever arrives is an object or a `RequestError`, never another exception."""
    with suppress(RequestError):
        assert isinstance(read_message(body), Mapping)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", "tcp://127.0.0.1:5800"),
        ("localhost", "tcp://127.0.0.1:5800"),
        ("::1", "tcp://[::1]:5800"),
    ],
)
def test_addresses_are_written_as_zeromq_has_them(address: str, expected: str) -> None:
    """It binds to no names, and wants brackets around IPv6."""
    assert endpoint(address, 5800) == expected


class Broken:
    """A client with a mistake in it."""

    async def queue_depth(self) -> dict[str, int]:
        raise ZeroDivisionError("a secret of ours")


def test_a_mistake_of_ours_is_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Who asked learns that it was not their fault; what it was stands in the log; the next is answered."""
    caplog.set_level(logging.ERROR)
    for answer in asyncio.run(ask_broken(2)):
        assert (answer["status"], answer["error"]["code"]) == ("error", "ERROR")
        assert "secret" not in answer["error"]["message"]
    assert caplog.text.count("ZeroDivisionError: a secret of ours") == 2


async def ask_broken(times: int) -> list[dict[str, Any]]:
    """What a service over a broken client answers to `times` messages."""
    with (
        zmq.asyncio.Context() as context,
        context.socket(zmq.ROUTER) as router,
        context.socket(zmq.REQ) as client,
    ):
        client.connect(listen(router, "tcp://127.0.0.1:0"))
        answering = asyncio.create_task(Service(router, cast(AsyncClient, Broken())).answer_all())
        answers = []
        for _ in range(times):
            await client.send(b'{"action": "health"}')
            answers.append(json.loads(await asyncio.wait_for(client.recv(), 60)))
        answering.cancel()
        await asyncio.wait([answering])
    return answers
