"""Promise: when Sentinels make another server the master, clients and workers find it by themselves.

What only the old master had acknowledged may be gone with it; what comes out is one result for each
request all the same, so a producer that repeats its submit under the same id loses nothing.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cli.leash import Leashed
from producer import AsyncClient, Client
from protocol.errors import QueueUnreachable
from protocol.transcript import Transcript
from tests.integration.servers import SentinelSet, worker_on
from workers.engine.fake import fingerprint

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    """A real set; each test leaves it with a living master."""
    with SentinelSet(tmp_path_factory.mktemp("sentinel")) as running:
        yield running


@pytest.fixture(scope="module", params=["claim", "redis"])
def worker(
    request: pytest.FixtureRequest, sentinels: SentinelSet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Leashed]:
    """A worker with either transport on the set, which lives through all fail-overs."""
    folder = tmp_path_factory.mktemp(request.param)
    with worker_on(sentinels.url, folder, request.param, transport=request.param) as running:
        yield running


def text_of(audio: NDArray[np.int16]) -> str:
    return fingerprint(audio.astype(np.float32) / np.float32(32_768))


def transcribed(client: Client, audio: NDArray[np.int16], request_id: str) -> Transcript:
    """As a careful producer does it: submit under one id until it is accepted and there is a result."""
    give_up_at = time.monotonic() + WAIT
    while True:
        try:
            return client.submit(audio, priority="urgent", request_id=request_id).result(5)
        except (QueueUnreachable, TimeoutError):
            assert time.monotonic() < give_up_at, "no result on the new master in time"


def test_clients_find_the_master(sentinels: SentinelSet, worker: Leashed, noise: Noise) -> None:
    """The Sentinels' addresses are enough for client, awaited client, worker and `inspect`."""

    async def awaited() -> Transcript:
        async with AsyncClient(sentinels.url) as client:
            return await client.transcribe(noise(2), priority="urgent", timeout=WAIT)

    with Client(sentinels.url) as client:
        assert client.submit(noise(1), priority="urgent").result(WAIT).text == text_of(noise(1))
    assert asyncio.run(awaited()).text == text_of(noise(2))
    asked = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers", "inspect", "ping", "--timeout", "10"],
        env={**os.environ, "REDIS_URL": sentinels.url},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pong" in asked.stdout


def test_work_goes_on_after_a_fail_over(
    request: pytest.FixtureRequest, sentinels: SentinelSet, worker: Leashed, noise: Noise
) -> None:
    """A fail-over on command, between two submits of a client that is connected already."""
    name = request.node.callspec.id
    with Client(sentinels.url) as client:
        first = transcribed(client, noise(1), f"before-{name}")
        sentinels.fail_over()
        assert transcribed(client, noise(2), f"after-{name}").text == text_of(noise(2))
        assert client.result(f"before-{name}", timeout=WAIT) == first
    assert worker.poll() is None


def test_master_that_dies_is_replaced(tmp_path: Path, noise: Noise) -> None:
    """SIGKILL of the master under work: each request has one result, and the first one seen stays."""
    with (
        SentinelSet(tmp_path / "set") as sentinels,
        worker_on(sentinels.url, tmp_path, fake_fixed_ms=200, max_batch_size=4) as worker,
        Client(sentinels.url) as client,
    ):
        seen = {f"r-{number}": transcribed(client, noise(number), f"r-{number}") for number in range(4)}
        for number in range(4, 16):
            client.submit(noise(number), request_id=f"r-{number}")
        dead = sentinels.kill_master()
        sentinels.wait_for_another(dead)
        for number in range(16):
            result = transcribed(client, noise(number), f"r-{number}")
            assert result.text == text_of(noise(number))
            assert seen.get(f"r-{number}", result) == result
        assert worker.poll() is None
