"""Promise: Redis may die or hang, however long; no worker ends, and nothing is lost or computed twice."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from bench.witness import keep_everything
from cli.local_redis import LocalRedis
from producer import Client
from tests.integration.outage import LONG, WAIT, Crew, all_right, audio, crew_on, hold, submit

#: Requests of one test: several batches of 4 for each of two workers.
REQUESTS = 24


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    """A Redis of this file's own, to be killed; what it has accepted it has written down by then."""
    with LocalRedis(tmp_path_factory.mktemp("redis")) as made:
        keep_everything(made)
        yield made


@pytest.fixture(scope="module")
def crew(server: LocalRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """Two workers, which outlive every test of this file: that is the promise."""
    with crew_on(server.url, tmp_path_factory.mktemp("crew"), "a", "b") as made:
        yield made


@pytest.fixture
def client(server: LocalRedis, crew: Crew) -> Iterator[Client]:
    """A producer that is not behind a proxy."""
    with Client(server.url) as made:
        yield made


def kill(server: LocalRedis) -> None:
    """As the kernel kills what takes too much memory."""
    os.kill(server.pid, signal.SIGKILL)
    server.start()


def shut_down(server: LocalRedis) -> None:
    """As at an update of Redis."""
    server.stop()
    server.start()


def freeze(server: LocalRedis) -> None:
    """As a machine that swaps, for longer than a lease."""
    os.kill(server.pid, signal.SIGSTOP)
    hold()
    os.kill(server.pid, signal.SIGCONT)


def pause(server: LocalRedis) -> None:
    """Redis takes no command for longer than a lease."""
    with redis.Redis.from_url(server.url) as connection:
        connection.client_pause(round(LONG * 1000))
    hold()


def away(server: LocalRedis) -> None:
    """Down for longer than a lease."""
    server.stop()
    hold()
    server.start()


@pytest.mark.parametrize("fault", [kill, shut_down, freeze, pause, away])
def test_nothing_is_lost_or_computed_twice(
    server: LocalRedis, crew: Crew, client: Client, fault: Callable[[LocalRedis], None]
) -> None:
    """Two workers in mid-batch: each request gets its own result, from one computation.

    Also when every lease has run out meanwhile: nobody takes a living worker for dead because Redis was.
    """
    before = crew.computed()
    tickets = submit(client, REQUESTS)
    fault(server)
    assert all_right(tickets)
    assert crew.all_live()
    assert crew.computed_since(before, REQUESTS) == REQUESTS


def test_cut_connections_cost_nothing(server: LocalRedis, crew: Crew, client: Client) -> None:
    """All connections cut again and again, some results apart: one computation each."""
    before = crew.computed()
    tickets = submit(client, REQUESTS)
    with redis.Redis.from_url(server.url, single_connection_client=True) as connection:
        for ticket in tickets[:12:4]:
            ticket.result(WAIT)
            connection.client_kill_filter(_type="normal", skipme=True)
            connection.client_kill_filter(_type="pubsub", skipme=True)
    assert all_right(tickets)
    assert crew.computed_since(before, REQUESTS) == REQUESTS


def test_forgetful_redis_is_noticed(server: LocalRedis, crew: Crew, client: Client) -> None:
    """Redis comes back without its data: each worker says what that means, and serves what comes then."""
    os.kill(server.pid, signal.SIGKILL)
    shutil.rmtree(Path(server.folder) / "appendonlydir")
    server.start()
    for worker in crew.workers.values():
        worker.wait_for_line("Redis has forgotten everything", WAIT)
    assert client.submit(audio(1), priority="urgent").result(WAIT).text
    assert crew.all_live()
