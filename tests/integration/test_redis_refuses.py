"""Promise: a Redis that refuses ends no worker; it says why in plain words, and goes on when that is over."""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from kombu.connection import Connection
from kombu.entity import Exchange, Queue

from bench.hardened import survives_full_disk
from cli.leash import Leashed
from cli.local_redis import LocalRedis
from producer import Client
from tests.integration.outage import WAIT, Crew, all_right, crew_on, hold, submit
from workers.transport.channel import Channel
from workers.transport.claims import Claims

#: How long Redis refuses after it has been noticed, in seconds: at least four attempts of everything that is
#: tried again, so some twenty in each worker.
REFUSAL = 2.0

#: What tries again in a worker, each of which may say once what is wrong: the keeper of the lease, the writer
#: of results, who looks for work, who waits for it, who connects.
SPEAKERS = 5

Mend = Callable[[], object]
Spoil = Callable[[redis.Redis], Mend]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    """A Redis of this file's own, to be spoiled."""
    with survives_full_disk(), LocalRedis(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture(scope="module")
def crew(server: LocalRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """Two workers, which outlive every test of this file: that is the promise."""
    with crew_on(server.url, tmp_path_factory.mktemp("crew"), "a", "b") as made:
        yield made


@pytest.fixture
def admin(server: LocalRedis) -> Iterator[redis.Redis]:
    """Who spoils Redis and mends it, on a connection that lasts."""
    with redis.Redis.from_url(server.url, single_connection_client=True) as made:
        yield made


def no_replicas(admin: redis.Redis) -> Mend:
    admin.config_set("min-replicas-to-write", 1)
    return lambda: admin.config_set("min-replicas-to-write", 0)


def read_only(admin: redis.Redis) -> Mend:
    admin.replicaof("127.0.0.1", "1")
    return lambda: admin.replicaof("NO", "ONE")


def new_password(admin: redis.Redis) -> Mend:
    old = str(admin.config_get("requirepass")["requirepass"])
    admin.config_set("requirepass", "another")
    admin.client_kill_filter(_type="normal", skipme=True)
    return lambda: admin.config_set("requirepass", old)


def full(admin: redis.Redis) -> Mend:
    admin.config_set("maxmemory", "1mb")
    return lambda: admin.config_set("maxmemory", 0)


def no_disk(admin: redis.Redis) -> Mend:
    """No file of the server may grow any more, so that its append-only file cannot be written."""
    pid = admin.info("server")["process_id"]
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    return lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def busy(admin: redis.Redis) -> Mend:
    """A script without end keeps Redis busy until somebody kills it."""
    admin.config_set("busy-reply-threshold", 1)
    endless = redis.Redis.from_pool(redis.ConnectionPool(**admin.get_connection_kwargs()))

    def run() -> None:
        with suppress(redis.ResponseError), endless:
            endless.eval("while true do end", 0)

    thread = threading.Thread(target=run)
    thread.start()

    def mend() -> None:
        admin.script_kill()
        thread.join()

    return mend


STATES: dict[Spoil, str] = {
    no_replicas: "fewer replicas than it must have",
    read_only: "a replica that may only be read",
    new_password: "refuses this worker's user or password",
    full: "Redis is full",
    no_disk: "Redis cannot write to its disk",
    busy: "busy with somebody's script",
}


@pytest.mark.parametrize(("spoil", "words"), STATES.items())
def test_refusing_redis_ends_no_worker(
    server: LocalRedis, crew: Crew, admin: redis.Redis, spoil: Spoil, words: str
) -> None:
    """Each worker says what is wrong, though not at each attempt; nothing is lost, and work goes on."""
    with Client(server.url) as client:
        under_way = submit(client, 16)
        mend = spoil(admin)
        try:
            for worker in crew.workers.values():
                worker.wait_for_line(words, WAIT)
            hold(REFUSAL)
        finally:
            mend()
        assert all_right(under_way)
        assert all_right(submit(client, 8))
    assert crew.all_live()
    assert all(crew.said(name).count(words) <= SPEAKERS for name in crew.workers)


@pytest.mark.parametrize("spoil", [no_replicas, read_only, full])
def test_who_refuses_to_write_is_connected_to_once(
    server: LocalRedis, crew: Crew, admin: redis.Redis, spoil: Spoil
) -> None:
    """A connection cut meanwhile is made again, and stays: it needs nothing to be written."""
    before = {name: crew.said(name).count("Connected to") for name in crew.workers}
    mend = spoil(admin)
    try:
        admin.client_kill_filter(_type="normal", skipme=True)
        for name, worker in crew.workers.items():
            worker.wait_for_line(rf"(?s)(Connected to.*){{{before[name] + 1}}}", WAIT)
        hold(REFUSAL)
    finally:
        mend()
    with Client(server.url) as client:
        assert all_right(submit(client, 8))
    assert {name: crew.said(name).count("Connected to") - before[name] for name in crew.workers} == {
        "a": 1,
        "b": 1,
    }
    assert not any("Traceback" in crew.said(name) for name in crew.workers)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[LocalRedis]:
    """A Redis without other workers."""
    with LocalRedis(tmp_path) as made:
        yield made


def test_a_worker_that_is_locked_out_says_so_in_a_line(alone: LocalRedis, tmp_path: Path) -> None:
    """What it closes cannot be cleared away then, which is no reason for a traceback of Celery's."""
    command = [sys.executable, "-m", "celery", "-A", "workers", "worker", "-n", "locked@test"]
    env = {**os.environ, "SEGUE_ENGINE": "fake", "REDIS_URL": alone.url}
    with (
        Leashed([*command, "-l", "INFO"], log=tmp_path / "w.log", env=env, cwd=tmp_path, grace=30) as worker,
        redis.Redis.from_url(alone.url, single_connection_client=True) as admin,
    ):
        with Client(alone.url) as client:  # whose results come once the worker's loop turns
            assert all_right(submit(client, 1))
        mend = new_password(admin)
        try:
            worker.wait_for_line("refuses this worker's user or password", WAIT)
            hold(REFUSAL)
        finally:
            mend()
        worker.wait_for_line(r"(?s)(Connected to.*){2}", WAIT)
    assert "Traceback" not in worker.log.read_text("utf-8", "replace")


def test_a_channel_closes_though_redis_refuses(alone: LocalRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery closes one of those of remote control while its worker is locked out."""
    with (
        redis.Redis.from_url(alone.url, single_connection_client=True) as admin,
        Connection(alone.url, transport="workers.transport.channel:Transport") as connection,
    ):
        monkeypatch.setattr(Channel, "claims", Claims(admin), raising=False)
        opened = connection.channel()
        Queue("replies", Exchange("replies", type="fanout"), channel=opened, auto_delete=True).declare()
        mend = new_password(admin)
        try:
            opened.close()
        finally:
            mend()
        assert opened.closed
