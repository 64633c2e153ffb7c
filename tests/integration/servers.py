"""Redis in other shapes, real processes on loopback: behind TLS, with Sentinels, as a Cluster."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import redis
import trustme

from cli.leash import Leashed
from cli.local_redis import LocalRedis, find_server, free_port
from protocol.address import parse_address
from tests.redis_tls import speak_tls

#: How long a server or a worker may take until it is ready, and a set until it has a master, in seconds: a
#: busy machine must not fail a test.
READY_SECONDS = 60.0

PASSWORD = "S3CRET-of-redis"  # noqa: S105 - of servers that live as long as a test

#: How long a master may be silent before the Sentinels call it dead, in ms: short for the test's sake, long
#: beside a busy machine's pauses.
DOWN_AFTER_MS = 2_000

MASTER = "segue"

TLS_FRONT = Path(__file__).with_name("tls_front.py")


@contextmanager
def worker_on(url: str, folder: Path, name: str = "w", **settings: object) -> Iterator[Leashed]:
    """A worker of the fake engine on the Redis at `url`, ready for work."""
    env = {**os.environ, "REDIS_URL": url, "SEGUE_ENGINE": "fake"}
    env |= {f"SEGUE_{key.upper()}": str(value) for key, value in settings.items()}
    command = [sys.executable, "-m", "celery", "-A", "workers", "worker", "-n", f"{name}@test", "-l", "INFO"]
    worker = Leashed(
        [*command, "--without-mingle"], log=folder / f"{name}.log", env=env, cwd=folder, grace=30
    )
    with worker:
        worker.wait_for_line(r"ready\.$", READY_SECONDS)
        yield worker


@contextmanager
def server(folder: Path, port: int, *lines: str, sentinel: bool = False) -> Iterator[Leashed]:
    """A Redis, or a Sentinel, on loopback with these lines of configuration, ready; its folder is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "redis.conf"
    if not config.exists():  # a Sentinel writes into its own, and goes on from there
        given = ["bind 127.0.0.1", f"port {port}", "dir ./", "daemonize no", *lines]
        config.write_text("\n".join(given) + "\n")
    command = [str(find_server()), config.name, *(["--sentinel"] if sentinel else [])]
    with Leashed(command, log=folder / "log", cwd=folder) as running:
        running.wait_for_line("Sentinel ID is" if sentinel else "Ready to accept connections", READY_SECONDS)
        yield running


class SentinelSet:
    """One master, one replica, three Sentinels, for as long as the context lasts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._servers: dict[int, Leashed] = {}
        self._sentinels: list[int] = []

    def __enter__(self) -> SentinelSet:
        with self._stack:
            master = self._start()
            self._start(f"replicaof 127.0.0.1 {master}")
            self._sentinels = [self._start_sentinel(master) for _ in range(3)]
            for port in self._sentinels:
                self._wait_until_it_knows_all(port)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The address of the set, for `Client` and workers."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._sentinels)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/0?master={MASTER}"

    @property
    def master(self) -> int:
        """The port of the server that the first Sentinel calls the master."""
        with redis.Redis(port=self._sentinels[0]) as sentinel:
            return _master_of(sentinel)

    def connect(self, port: int) -> redis.Redis:
        """A client of one server, to be closed."""
        return redis.Redis(port=port, password=PASSWORD)

    def fail_over(self) -> None:
        """Tell the Sentinels to change the roles, and wait until they have."""
        old = self.master
        with redis.Redis(port=self._sentinels[0]) as sentinel:
            sentinel.sentinel_failover(MASTER)
        self.wait_for_another(old)

    def kill_master(self) -> int:
        """SIGKILL the master; its port. The Sentinels notice by themselves."""
        port = self.master
        os.kill(self._servers[port].pid, signal.SIGKILL)
        return port

    def wait_for_another(self, port: int) -> None:
        """Wait until each Sentinel names another master than the one on `port`, and that one says so, too."""
        for sentinel_port in self._sentinels:
            with redis.Redis(port=sentinel_port) as sentinel:
                _until(partial(_names_another, sentinel, port))
        with self.connect(self.master) as master:
            _until(lambda: master.info("replication")["role"] == "master")

    def _start(self, *lines: str) -> int:
        port = free_port()
        login = (f"requirepass {PASSWORD}", f"masterauth {PASSWORD}", "appendonly yes", "save ''")
        quick = ("repl-diskless-sync-delay 0", "maxmemory-policy noeviction")
        self._servers[port] = self._stack.enter_context(
            server(self._folder / str(port), port, *login, *quick, *lines)
        )
        return port

    def _start_sentinel(self, master: int) -> int:
        port = free_port()
        lines = (
            f"sentinel monitor {MASTER} 127.0.0.1 {master} 2",
            f"sentinel auth-pass {MASTER} {PASSWORD}",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {MASTER} 10000",
        )
        self._stack.enter_context(server(self._folder / str(port), port, *lines, sentinel=True))
        return port

    def _wait_until_it_knows_all(self, port: int) -> None:
        with redis.Redis(port=port) as sentinel:
            _until(
                lambda: (
                    (state := sentinel.sentinel_master(MASTER))["num-other-sentinels"] == 2
                    and state["num-slaves"] == 1
                )
            )


class TlsRedis:
    """A Redis that speaks TLS, for as long as the context lasts; by a front of ours if it cannot itself.

    Args:
        folder: for data, logs and certificates.
        certificate: what it shows.
        authority: whose certificates it wants of its clients; None asks for none.
        newest: the newest version of TLS that it speaks, by its name in `ssl.TLSVersion`.
    """

    def __init__(
        self,
        folder: Path,
        certificate: trustme.LeafCert,
        authority: trustme.CA | None = None,
        newest: str = "TLSv1_3",
    ) -> None:
        self._redis = LocalRedis(folder)
        self._folder = folder
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / "shown.pem")
        self._options = ["shown.pem", "--newest", newest]
        self._wants = authority is not None
        if authority is not None:
            authority.cert_pem.write_to_path(folder / "wanted.pem")
            self._options += ["--authority", "wanted.pem"]
        self._is_modern = newest == "TLSv1_3"
        self._stack = ExitStack()
        self._port = 0

    def __enter__(self) -> TlsRedis:
        with self._stack:
            self._stack.enter_context(self._redis)
            wanted = self._folder / "wanted.pem" if self._wants else None
            itself = self._is_modern and speak_tls(self._redis, self._folder / "shown.pem", wanted)
            self._port = itself or self._start_front()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def plain_url(self) -> str:
        """Where the Redis behind it answers without TLS."""
        return self._redis.url

    def url(self, host: str = "localhost", **options: object) -> str:
        """Its address over TLS, by this name and with these options in the query."""
        login = self.plain_url.partition("://")[2].partition("@")[0]
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"rediss://{login}@{host}:{self._port}/0?{query}".rstrip("?")

    def _start_front(self) -> int:
        _, behind = parse_address(self.plain_url).hosts[0]
        command = [sys.executable, str(TLS_FRONT), str(behind), *self._options]
        front = Leashed(command, log=self._folder / "front.log", cwd=self._folder)
        self._stack.enter_context(front)
        return int(front.wait_for_line(r"^listening on (\d+)$", READY_SECONDS)[1])


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """A Cluster of one node that has all slots; yields its address."""
    port = free_port()
    bus = f"cluster-port {free_port()}"
    lines = ("cluster-enabled yes", bus, "save ''", "appendonly yes", f"requirepass {PASSWORD}")
    with server(folder, port, *lines), redis.Redis(port=port, password=PASSWORD) as node:
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        _until(lambda: node.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"


def _master_of(sentinel: redis.Redis) -> int:
    address: Any = sentinel.sentinel_get_master_addr_by_name(MASTER)
    return int(address[1])


def _names_another(sentinel: redis.Redis, port: int) -> bool:
    return _master_of(sentinel) != port


def _until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + READY_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, "it has not come about in time"
