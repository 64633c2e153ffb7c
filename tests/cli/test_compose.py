"""The container files: what runs, with which rights, and that the same commands work without containers."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import redis
import typer
import yaml
from celery.bin.celery import celery

from cli.leash import Leashed
from cli.local_redis import find_server
from workers.settings import Settings, load

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("segue:")]

#: The users of Redis, and as which of them each of our services comes in.
USERS = ("admin", "worker", "producer", "flower")
COMES_AS = {"worker": "worker", "worker-cpu": "worker", "flower": "flower", "example": "producer"}

WORKER = {
    "command": ["segue", "worker", "--hostname", "segue@%h"],
    "health": 'celery -A workers inspect ping --destination "segue@$$HOSTNAME" --timeout 10',
    "user": "10001:10001",
    "volumes": ["models:/var/cache/segue"],
    "secrets": ["redis_worker_password"],
    "configs": [{"source": "settings", "target": "/etc/segue/segue.yaml"}],
    "networks": ["queue", "outside"],
}

#: What each service is, beside what all have in common; a key that is not here is not set.
EXPECTED: dict[str, dict[str, Any]] = {
    "redis": {
        "command": ["sh", "/etc/redis/start.sh"],
        "health": 'REDISCLI_AUTH="$$(cat /run/secrets/redis_admin_password)"'
        " redis-cli --user admin ping | grep -q PONG",
        "user": "999:1000",
        "volumes": ["redis:/data", "./deploy/redis:/etc/redis:ro"],
        "secrets": [f"redis_{user}_password" for user in USERS],
        "networks": ["queue"],
    },
    "worker": WORKER,
    "worker-cpu": {**WORKER, "profiles": ["cpu"]},
    "flower": {
        "command": [
            "sh",
            "-c",
            'export FLOWER_BASIC_AUTH="$$(cat /run/secrets/flower_basic_auth)" &&'
            " exec segue flower --address 0.0.0.0 --port 5555",
        ],
        "health": "from urllib.request import urlopen;"
        ' urlopen("http://127.0.0.1:5555/healthcheck", timeout=5)',
        "user": "10001:10001",
        "secrets": ["redis_flower_password", "flower_basic_auth"],
        "networks": ["queue", "outside"],
        "ports": ["127.0.0.1:5555:5555"],
    },
    "example": {
        "command": [
            "sh",
            "-c",
            "exec segue transcribe /opt/segue/lib/python3.12/site-packages/workers/demo/speech/*.flac",
        ],
        "user": "10001:10001",
        "secrets": ["redis_producer_password"],
        "networks": ["queue"],
        "profiles": ["example"],
    },
}


def environment(service: str) -> dict[str, str]:
    """A service's variables as its container sees them where nothing is set on the host."""
    given: dict[str, str] = SERVICES[service].get("environment", {})
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in given.items()}


def commands(service: str) -> list[list[str]]:
    """The words of every command of ours in a service: what it runs and its health check."""
    command = SERVICES[service]["command"]
    run = command[-1] if command[0] == "sh" else shlex.join(command)
    health = SERVICES[service].get("healthcheck", {}).get("test", [""])[-1]
    found = (re.search(r"(?:^|exec )((?:segue|celery) .*)", text) for text in (run, health))
    return [shlex.split(match[1]) for match in found if match]


@pytest.mark.parametrize("service", EXPECTED)
def test_service_is_as_described(service: str) -> None:
    """Each service has what the table says, and no ports or profiles beyond it."""
    given = SERVICES[service]
    found = {name: given[name] for name in EXPECTED[service] | {"ports": 0, "profiles": 0} if name in given}
    if "healthcheck" in given:
        found["health"] = given["healthcheck"]["test"][-1]
    assert found == EXPECTED[service]


def test_there_are_no_other_services() -> None:
    """The table above is complete."""
    assert set(SERVICES) == set(EXPECTED)


@pytest.mark.parametrize("service", EXPECTED)
def test_service_is_hardened(service: str) -> None:
    """No service can write its root file system, gain rights, or grow without bound, its logs included."""
    given = SERVICES[service]
    assert given["init"] is True
    assert given["read_only"] is True
    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert given["logging"] == {"driver": "local"}
    assert set(given["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert all("size=" in place for place in given["tmpfs"])
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "env_file"} & set(given)
    assert "docker.sock" not in str(given)
    assert int(given["user"].partition(":")[0]) > 0


def test_file_keeps_to_the_compose_specification() -> None:
    """The JSON schema that the Compose project publishes accepts the file."""
    pytest.importorskip("check_jsonschema", reason="an older .venv: run `make setup`")
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    ran = subprocess.run(
        [*checker, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_services_wait_for_a_healthy_redis() -> None:
    """Whatever needs Redis starts once it answers."""
    for service in OURS:
        assert SERVICES[service]["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_redis_is_not_reachable_from_outside() -> None:
    """Redis is on the internal network alone; only Flower publishes a port, on loopback."""
    assert COMPOSE["networks"]["queue"] == {"internal": True}
    published = {service: given["ports"] for service, given in SERVICES.items() if "ports" in given}
    assert published == {"flower": ["127.0.0.1:5555:5555"]}


def test_gpu_is_reserved_for_the_gpu_worker_only() -> None:
    """The worker reserves one GPU; the CPU worker runs where there is none."""
    reserved = SERVICES["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert reserved == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
    assert "reservations" not in SERVICES["worker-cpu"]["deploy"]["resources"]
    assert environment("worker")["SEGUE_DEVICE"] == "cuda"
    assert environment("worker-cpu")["SEGUE_DEVICE"] == "cpu"
    assert "nvidia-cublas-cu12==" in SERVICES["worker"]["build"]["args"]["CUDA_PACKAGES"]


def test_images_are_pinned() -> None:
    """Every image names its version, and two builds do not share a name."""
    for service, given in SERVICES.items():
        assert re.search(r":\d+\.\d+\.\d+", given["image"]), service
    builds = {(given["image"], str(given.get("build"))) for given in SERVICES.values()}
    assert len(builds) == len({image for image, _ in builds})


def test_image_has_the_version_of_the_package() -> None:
    """The images are named for the version in pyproject.toml."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {SERVICES[service]["image"].removesuffix("-cuda") for service in OURS} == {f"segue:{version}"}


@pytest.mark.parametrize("service", OURS)
def test_settings_in_the_file_are_right(service: str, tmp_path: Path) -> None:
    """The variables of each service are settings that exist, with values that are accepted."""
    given = environment(service)
    user = COMES_AS[service]
    assert given["REDIS_PASSWORD_FILE"] == f"/run/secrets/redis_{user}_password"
    assert given.get("SEGUE_CONFIG") in (
        None,
        *(place["target"] for place in SERVICES[service].get("configs", [])),
    )
    (tmp_path / "secret").write_text("S3CRET\n")
    inside = {
        **given,
        "REDIS_PASSWORD_FILE": str(tmp_path / "secret"),
        "SEGUE_CONFIG": str(ROOT / "segue.example.yaml"),
    }
    assert load(None, flags={}, environ=inside).settings.redis_url == f"redis://{user}:S3CRET@redis:6379/0"


def test_stopping_leaves_time_for_the_batch_that_runs() -> None:
    """Docker kills a worker only after the worker itself would have given up waiting."""
    for service in ("worker", "worker-cpu"):
        assert float(SERVICES[service]["stop_grace_period"].removesuffix("s")) > Settings().shutdown_grace


def test_no_secret_stands_in_a_file() -> None:
    """Secrets come from files that neither git nor the image gets, and from nowhere else."""
    for secret in COMPOSE["secrets"].values():
        assert Path(secret["file"]).parent == Path("deploy/secrets")
    assert (ROOT / "deploy/.gitignore").read_text().split() == ["secrets/"]
    for path in (ROOT / "docker-compose.yml", ROOT / "Dockerfile", *(ROOT / "deploy").glob("*.*")):
        text = path.read_text()
        assert not re.search(r"rediss?://[^\s/]*:[^\s/]*@", text), path
        assert not re.search(r"(?i)(password|secret|token|auth)\w*\s*[:=]\s*['\"]?[0-9a-f]{12}", text), path
    for service in SERVICES:
        names = [name for name in environment(service) if re.search("PASSWORD|AUTH|TOKEN|KEY", name)]
        assert names == (["REDIS_PASSWORD_FILE"] if service in OURS else [])


def test_variables_on_the_host_are_in_the_example() -> None:
    """What the compose file reads from the host is in deploy/env.example, with the same default."""
    read = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "docker-compose.yml").read_text()))
    example = dict(re.findall(r"(?m)^(\w+)=(.*)$", (ROOT / "deploy/env.example").read_text()))
    assert read == example


def test_our_commands_exist() -> None:
    """Every `segue` command in the file is one."""
    from cli.main import app

    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group, with sub-commands
    used = {words[1] for service in SERVICES for words in commands(service) if words[0] == "segue"}
    assert used == {"worker", "flower", "transcribe"}
    assert used <= set(known)


@pytest.mark.parametrize("service", ["worker", "worker-cpu"])
def test_health_check_asks_the_worker_of_its_own_container(service: str) -> None:
    """Celery's own parser accepts the health check, and it asks the node that the command names."""
    ((_, _, *command), (program, _, application, inspect, *rest)) = commands(service)
    assert (program, application, inspect) == ("celery", "workers", "inspect")
    context = celery.commands["inspect"].make_context("inspect", rest)
    node = command[command.index("--hostname") + 1]
    assert context.params["destination"] == [node.replace("%h", "$$HOSTNAME")]
    assert context.params["command"] == "ping"


def test_image_runs_as_nobody_in_particular() -> None:
    """The last stage is a pinned slim Python with no compiler, run by the user of the services."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    build, final = dockerfile.split("\nFROM ")[1:]
    base = re.compile(r"python:3\.12\.\d+-slim-\w+\b")
    assert base.match(build)
    assert base.match(final)
    assert "pip install --constraint constraints.txt ." in build
    assert not re.search(r"apt|apk|gcc|build-essential|pip ", final)
    assert final.index("useradd --uid 10001") < final.index("USER 10001:10001") < final.index("CMD")
    assert {SERVICES[service]["user"] for service in OURS} == {"10001:10001"}


def test_image_gets_what_is_installed_and_nothing_else() -> None:
    """The build sees every package of ours, and neither secrets, tests nor the repository."""
    first, *lines = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] not in ("", "#")
    ]
    assert first == "*"
    seen = {line.removeprefix("!") for line in lines if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    modules = {f"{name}.py" for name in project["tool"]["setuptools"]["py-modules"]}
    assert seen == packages | modules | {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"}


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """The script makes long random secrets, in a folder for the owner alone, and keeps those that exist."""
    script = ["sh", str(ROOT / "deploy/make-secrets.sh"), str(tmp_path / "secrets")]
    subprocess.run(script, check=True, capture_output=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    passwords = [made[f"redis_{user}_password"] for user in USERS]
    assert all(re.fullmatch(r"[0-9a-f]{64}\n", password) for password in passwords)
    assert len(set(passwords)) == len(USERS)
    assert re.fullmatch(r"operator:[0-9a-f]{64}\n", made["flower_basic_auth"])
    assert all(password.strip() not in made["flower_basic_auth"] for password in passwords)
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()} == {0o444}
    subprocess.run(script, check=True, capture_output=True)
    assert made == {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="the start script is for Linux")
def test_redis_starts_as_in_its_container(tmp_path: Path) -> None:
    """The service's own script starts a server that forgets nothing and knows its users."""
    password = 'a "p@ss" #1 $word%'  # noqa: S105 - awkward on purpose
    for user in USERS:
        (tmp_path / f"redis_{user}_password").write_text(f"{password} of {user}\n")
    (tmp_path / "redis-server").symlink_to(find_server())
    env = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "REDIS_SECRETS": str(tmp_path),
        "REDIS_RUN_DIR": str(tmp_path),
        "REDIS_CONFIG": str(ROOT / "deploy/redis/redis.conf"),
    }
    socket = str(tmp_path / "socket")
    start = ["sh", str(ROOT / "deploy/redis/start.sh"), "--port", "0", "--unixsocket", socket]
    with Leashed(start, log=tmp_path / "log", env=env, cwd=tmp_path) as server:
        server.wait_for_line("(?i)ready to accept connections", 20)
        stranger = redis.Redis(unix_socket_path=socket)
        with stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        for user in USERS:
            with redis.Redis(unix_socket_path=socket, username=user, password=f"{password} of {user}") as one:
                assert one.ping()
        with redis.Redis(unix_socket_path=socket, username="admin", password=f"{password} of admin") as admin:
            wanted = {
                "appendonly": "yes",
                "appendfsync": "everysec",
                "save": "",
                "maxmemory-policy": "noeviction",
                "maxmemory": str(1024**3),
            }
            assert admin.config_get(*wanted) == wanted
    assert password not in (tmp_path / "users.conf").read_text()
    assert (tmp_path / "users.conf").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="the start script is for Linux")
def test_redis_does_not_start_without_a_password(tmp_path: Path) -> None:
    """An empty secret stops the start, instead of leaving Redis open."""
    (tmp_path / "redis_admin_password").touch()
    env = {"PATH": os.environ["PATH"], "REDIS_SECRETS": str(tmp_path), "REDIS_RUN_DIR": str(tmp_path)}
    ran = subprocess.run(
        ["sh", str(ROOT / "deploy/redis/start.sh")], env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "expected the password of Redis's user admin" in ran.stderr


def test_redis_has_room_to_rewrite_its_file() -> None:
    """Redis may fill less than half of its container, as a rewrite of the append-only file can double it."""
    (limit,) = re.findall(r"(?m)^maxmemory (\d+)gb$", (ROOT / "deploy/redis/redis.conf").read_text())
    container = int(SERVICES["redis"]["deploy"]["resources"]["limits"]["memory"].removesuffix("m"))
    assert 2 * 1024 * int(limit) < container
