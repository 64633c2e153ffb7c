"""Promise: `segue up` starts all there is, says where it is, and leaves nothing behind when it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from cli.leash import Leashed
from cli.up import Stopped, _watch
from producer import Client
from tests.integration.test_demo import left_behind

UP = [sys.executable, "-m", "cli.main", "up"]

#: Redis, Flower and a worker with a process of its own, on a busy machine; in seconds.
PATIENCE = 110.0


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """No Redis is given; the worker's engine is the fake one; temporary folders lie in the test's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEGUE_", "REDIS_"))}
    return {**kept, "TMPDIR": str(tmp_path), "SEGUE_ENGINE": "fake"}


def test_everything_is_there_until_ctrl_c(environ: dict[str, str], tmp_path: Path) -> None:
    """What it says of Redis and Flower is so, a worker transcribes, and at the end all of it is gone."""
    with Leashed(UP, log=tmp_path / "up.log", env=environ) as running:
        flower = running.wait_for_line(r"^Flower  (http://\S+)$", PATIENCE)[1]
        url = running.wait_for_line(r"^In other terminals: export REDIS_URL=(\S+)$", PATIENCE)[1]
        running.wait_for_line(r"^Ready\.", PATIENCE)
        with Client(url) as client:
            assert client.transcribe(np.ones(16_000, np.int16), timeout=PATIENCE).text
        with urlopen(f"{flower}/healthcheck", timeout=PATIENCE) as page:  # noqa: S310 - the address is our own
            assert page.status == 200
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(PATIENCE) == 130
    assert left_behind(tmp_path) == []


def test_a_redis_that_is_given_must_be_there(environ: dict[str, str], tmp_path: Path) -> None:
    """Nothing is started beside it: the status says that it is unreachable."""
    asked = subprocess.run(
        [*UP, "--redis-url", "redis://127.0.0.1:1/0", "--folder", str(tmp_path / "kept")],
        env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (asked.returncode, asked.stdout) == (3, "")
    assert re.fullmatch(r"segue: Redis did not answer.*\n", asked.stderr)
    assert list((tmp_path / "kept").iterdir()) == []


def test_one_that_ends_ends_all(tmp_path: Path) -> None:
    """Half of it is of no use, and nobody would notice: the error says which."""
    with (
        Leashed(["sleep", "600"], log=tmp_path / "worker.log") as worker,
        Leashed(["sh", "-c", "exit 3"], log=tmp_path / "flower.log") as flower,
    ):
        flower.wait(PATIENCE)
        with pytest.raises(Stopped, match="Flower ended with status 3"):
            _watch({"the worker": worker, "Flower": flower})
