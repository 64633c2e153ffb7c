"""Promise: a request that takes its engine or its worker down is given up and kept, and harms nobody else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from producer import Client
from protocol.errors import GaveUp
from protocol.routing import deaths_key, payload_key
from protocol.transcript import Status
from tests.integration.conftest import StartWorker
from workers.engine.fake import fingerprint
from workers.gate import DEATHS_ALONE
from workers.transport.dead import DEAD_MESSAGES, AudioGone, DeadOnes, NotDead

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0


def text_of(audio: NDArray[np.int16]) -> str:
    return fingerprint(audio.astype(np.float32) / np.float32(32_768))


def segue(redis_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does."""
    command = [sys.executable, "-m", "cli.main", *arguments]
    environ = {**os.environ, "REDIS_URL": redis_url}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=WAIT)


def test_poison_is_given_up_and_kept(
    start_worker: StartWorker, client: Client, redis_url: str, redis_client: redis.Redis, noise: Noise
) -> None:
    """One death in company, two alone; its neighbours have their results, and an operator has it whole."""
    audios = [noise(number) for number in range(7)]
    poison = client.submit(noise(7), request_id="poison", initial_prompt="crash")
    tickets = [client.submit(audio) for audio in audios]
    worker = start_worker(max_batch_size=8)
    assert [ticket.result(WAIT).text for ticket in tickets] == [text_of(audio) for audio in audios]
    with pytest.raises(GaveUp):
        poison.result(WAIT)
    assert worker.log.read_text("utf-8").count("was killed by signal") <= 1 + DEATHS_ALONE
    worker.stop()
    assert redis_client.keys(deaths_key("*")) == [deaths_key("poison").encode()]

    listed = segue(redis_url, "dead", "list")
    assert listed.stdout.startswith("poison  20")
    shown = json.loads(segue(redis_url, "dead", "show", "poison").stdout)
    assert shown["audio_bytes"] == redis_client.strlen(payload_key("poison")) > 0
    assert json.loads(shown["message"])["headers"]["id"] == "poison"
    assert segue(redis_url, "dead", "retry", "poison").returncode == 0
    assert (client.status("poison"), client.queue_depth()["normal"]) == (Status.QUEUED, 1)
    assert not redis_client.exists(deaths_key("poison"))
    assert segue(redis_url, "dead", "retry", "poison").returncode == 1


def test_deaths_are_counted_across_workers(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """A request under which two workers died runs on no third one."""
    ticket = client.submit(noise(1), request_id="heavy", priority="urgent", initial_prompt="hang")
    for number in range(DEATHS_ALONE):
        worker = start_worker(f"victim{number}")
        while f"victim{number}".encode() not in (redis_client.get("celery-task-meta-heavy") or b""):
            pass
        os.kill(worker.pid, signal.SIGKILL)
        worker.stop()
    worker = start_worker("survivor")
    with pytest.raises(GaveUp):
        ticket.result(WAIT)
    after = client.submit(noise(2), priority="urgent")
    assert after.result(WAIT).text == text_of(noise(2))
    assert " batch 2: " not in worker.log.read_text("utf-8")
    assert [one.name for one in DeadOnes(redis_client).list()] == ["heavy"]


def test_dead_are_dropped_with_their_audio(redis_client: redis.Redis, redis_url: str) -> None:
    """A message that nobody understood has a name, can be dropped, and cannot run again."""
    redis_client.rpush(DEAD_MESSAGES, b"\x00not a message\xff", b"nor this")
    kept = DeadOnes(redis_client)
    first, second = kept.list()
    with pytest.raises(NotDead):
        kept.retry(first.name)
    assert segue(redis_url, "dead", "drop", first.name).returncode == 0
    assert [one.message for one in kept.list()] == [second.message]
    missing = segue(redis_url, "dead", "show", "nobody")
    assert (missing.returncode, "nobody" in missing.stderr) == (1, True)


def test_a_request_without_its_audio_cannot_run_again(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """Audio is kept for a week; after that a retry says so and changes nothing."""
    client.submit(noise(1), request_id="poison", initial_prompt="crash")
    start_worker()
    with pytest.raises(GaveUp):
        client.result("poison", timeout=WAIT)
    redis_client.delete(payload_key("poison"))
    kept = DeadOnes(redis_client)
    with pytest.raises(AudioGone, match="poison"):
        kept.retry("poison")
    assert client.status("poison") is Status.FAILED
    kept.drop("poison")
    assert not kept.list()
