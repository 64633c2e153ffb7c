"""The embedded Redis: found, configured as in production, gone with its parent."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.local_redis import LocalRedis, NoServer, find_server, server_version


def server(folder: Path, name: str, version: str) -> Path:
    """A program that says it is a server of this version."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "says",
    [
        "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=d81b8ff71cfb150e",
        "Valkey server v=8.1.0 sha=00000000:1 malloc=libc bits=64 build=1536df31c0395150",
        "Redis server v=10.0.0 sha=0",
    ],
)
def test_a_recent_server_on_the_path_is_taken(
    says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis or Valkey from 7.0 on, compared as numbers."""
    monkeypatch.setenv("PATH", str(tmp_path))
    recent = server(tmp_path, "valkey-server", says)
    assert find_server() == recent


def test_redis_is_looked_for_before_valkey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two servers that would do, the one that most deployments run."""
    monkeypatch.setenv("PATH", str(tmp_path))
    server(tmp_path, "valkey-server", "Valkey server v=8.1.0")
    redis_server = server(tmp_path, "redis-server", "Redis server v=7.2.4")
    assert find_server() == redis_server


@pytest.mark.parametrize("says", ["Redis server v=6.2.14 sha=0", "what?", ""])
def test_an_old_server_is_passed_over(says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below 7.0, or not telling its version, it is as if it were not there: the packaged one serves."""
    monkeypatch.setenv("PATH", str(tmp_path))
    old = server(tmp_path, "redis-server", says)
    found = find_server()
    assert found != old
    assert server_version(found) >= (7, 0)


def test_no_server_at_all_says_what_would_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what was found and the two ways out."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("platform.system", lambda: "Plan9")
    old = server(tmp_path, "redis-server", "Redis server v=6.2.14")
    with pytest.raises(NoServer, match=rf"{old} is version 6\.2.*redis-server.*REDIS_URL"):
        find_server()


def test_it_is_configured_as_in_production(redis_client: redis.Redis) -> None:
    """Append-only and never forgetting: what holds here holds where it counts."""
    settings = redis_client.config_get("appendonly", "appendfsync", "maxmemory-policy", "save", "bind")
    assert settings == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
        "bind": "127.0.0.1",
    }


def test_strangers_are_refused(redis_url: str) -> None:
    """Loopback is shared by everybody on a machine, so the server asks for a password."""
    port = redis.Redis.from_url(redis_url).get_connection_kwargs()["port"]
    with (
        redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery 5.7 on redis-py 8
def test_one_url_serves_all_clients(redis_url: str, redis_client: redis.Redis) -> None:
    """redis-py, kombu and Celery's result backend take the same `REDIS_URL`."""
    redis_client.set("key", "value")
    with Celery(broker=redis_url, backend=redis_url, set_as_current=False) as app:
        with app.connection_for_write() as connection, connection.SimpleQueue("letters") as queue:
            queue.put("hello")
            assert queue.get(timeout=60).payload == "hello"
        app.backend.store_result("some-id", 42, "SUCCESS")
        assert app.AsyncResult("some-id").get(timeout=60) == 42
    assert redis_client.get("key") == b"value"


def test_a_killed_server_comes_back_with_its_data(tmp_path: Path) -> None:
    """The append-only file outlives the process, and the URL stays the same."""
    with LocalRedis(tmp_path) as server:
        url = server.url
        with redis.Redis.from_url(url) as client:
            client.set("key", "value")
        os.kill(server.pid, signal.SIGKILL)
        server.start()
        with redis.Redis.from_url(url) as client:
            assert client.get("key") == b"value"
        assert server.url == url


def test_a_given_folder_is_kept_and_an_own_one_is_not(tmp_path: Path) -> None:
    """Data that somebody chose a place for stays there; a temporary folder leaves nothing behind."""
    with LocalRedis(tmp_path / "data") as given, LocalRedis() as own:
        folder = own.folder
        assert folder.is_dir()
        assert given.url != own.url
    assert not folder.exists()
    assert (tmp_path / "data" / "redis.log").is_file()


def test_the_password_is_kept_off_the_command_line_and_from_others(tmp_path: Path) -> None:
    """It stands in a file that only its owner may read."""
    with LocalRedis(tmp_path):
        assert (tmp_path / "redis.conf").stat().st_mode & 0o077 == 0
