"""Promise: `segue demo` shows the whole product, ends by itself, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from celery import Celery

from cli.demo.run import RunFailed
from cli.demo.servers import check_running, redis_for_demo
from cli.leash import Leashed
from producer import Client
from tests.integration.conftest import StartWorker, wait_until_it_listens
from workers.demo import speech

#: The demo starts two workers, Flower and a Redis; seconds on two busy cores.
PATIENCE = 280.0

pytestmark = pytest.mark.timeout(600)

DEMO = [sys.executable, "-m", "cli.main", "demo", "--segments", "8", "--producers", "2"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The demo's temporary folder lies in the test's; nothing else is set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEGUE_", "REDIS_"))}
    return {**kept, "TMPDIR": str(tmp_path)}


def left_behind(folder: Path) -> list[str]:
    """Folders and files of the demo, and processes that were started in one."""
    paths = [str(path) for path in folder.glob("segue-*")]
    processes = subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return paths + [line for line in processes.splitlines() if str(folder) in line]


def test_the_figures_are_one_json_object(environ: dict[str, str], tmp_path: Path) -> None:
    """Everything the tables show is in it, all of the speech was transcribed, and nothing is left."""
    demo = subprocess.run(
        [*DEMO, "--json"], env=environ, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    figures = json.loads(demo.stdout)
    assert (figures["segments"], figures["producers"], figures["redis"]) == (8, 2, "embedded")
    assert figures["gain"] > 0
    assert figures["same_text"] == 8
    assert figures["one_by_one"]["mean_batch_size"] == 1.0
    assert figures["batched"]["mean_batch_size"] > 1.0
    assert sum(batch["size"] for batch in figures["batched"]["batches"]) == 8
    assert all(run["failed"] == 0 for run in (figures["one_by_one"], figures["batched"]))
    assert figures["batched"]["word_error_rate"] < 0.2
    assert left_behind(tmp_path) == []


def test_a_redis_in_use_is_left_alone(
    client: Client, redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The demo would transcribe what others have submitted, with a model that knows a hundred words."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    client.submit(speech()[0].path)
    with pytest.raises(RunFailed, match=r"requests wait at REDIS_URL already \(1\)"):
        redis_for_demo(tmp_path).__enter__()
    assert sum(client.queue_depth().values()) == 1


def test_a_redis_with_a_worker_is_left_alone(
    start_worker: StartWorker,
    celery_app: Celery,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """That worker would take the demo's requests, and the figures would be its own."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    start_worker()
    wait_until_it_listens(celery_app)
    monkeypatch.setattr("cli.presence.ANSWER_SECONDS", 30)
    with pytest.raises(RunFailed, match="a worker is at REDIS_URL already"):
        redis_for_demo(tmp_path).__enter__()


def test_an_unused_redis_is_taken(
    client: Client, redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """REDIS_URL is where the demo takes place then, without what is set for other workers."""
    monkeypatch.setattr("cli.presence.ANSWER_SECONDS", 0.2)
    monkeypatch.setenv("REDIS_URL", redis_url)
    with redis_for_demo(tmp_path) as place, place.client() as visitor:
        assert (place.redis, place.environ["REDIS_URL"]) == ("REDIS_URL", redis_url)
        visitor.submit(speech()[0].path)
        assert client.queue_depth()["normal"] == 1


def test_a_worker_that_ends_ends_the_demo(tmp_path: Path) -> None:
    """Nobody waits for results that cannot come: the error names the status and the log."""
    with Leashed(["sh", "-c", "exit 3"], log=tmp_path / "worker.log") as worker:
        worker.wait(PATIENCE)
        with pytest.raises(RunFailed, match=r"ended with status 3; its log is .*worker\.log"):
            check_running(worker)


def test_a_demo_that_fails_says_where_its_logs_are(environ: dict[str, str], tmp_path: Path) -> None:
    """A status that is not zero, one line for the reason, one for the logs, and the logs are there."""
    demo = subprocess.run(
        DEMO,
        env={**environ, "REDIS_URL": "redis://127.0.0.1:1/0"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert demo.returncode == 3
    why, where = demo.stderr.splitlines()
    assert "demo failed: Redis did not answer" in why
    assert Path(where.removeprefix("segue: the logs are in ")).is_dir()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_everything(number: signal.Signals, environ: dict[str, str], tmp_path: Path) -> None:
    """Whatever runs at that moment is stopped, and the exit status is a shell's for Ctrl-C."""
    with Leashed(DEMO, log=tmp_path / "demo.log", env=environ, cwd=tmp_path) as demo:
        demo.wait_for_line("Flower shows every audio segment", PATIENCE)
        os.kill(demo.pid, number)
        assert demo.wait(PATIENCE) == 130
        demo.wait_for_line("interrupted", PATIENCE)
    assert left_behind(tmp_path) == []
