"""Promise: a worker with keys runs what they have signed, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import redis
from celery import Celery
from numpy.typing import NDArray

from producer import Client
from protocol.errors import RequestError
from protocol.request import Priority
from protocol.routing import payload_key, queue_key
from protocol.signing import VARIABLE, sign
from tests.integration.conftest import StartWorker
from workers.engine.fake import fingerprint
from workers.transport.dead import DeadOnes

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0

OLD, NEW = "old:" + "a" * 32, "new:" + "b" * 32


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keys of the worker and, while the test runs, of clients in this process."""
    file = tmp_path / "keys"
    file.write_text(f"# the new one is not used everywhere yet\n{OLD}\n{NEW}\n")
    monkeypatch.setenv(VARIABLE, str(file))
    return file


def text_of(audio: NDArray[np.int16]) -> str:
    return fingerprint(audio.astype(np.float32) / np.float32(32_768))


def changed(message: bytes, **arguments: object) -> bytes:
    """A message with other arguments, as somebody makes it who can write to Redis."""
    envelope = json.loads(message)
    args, kwargs, embed = json.loads(envelope["body"])
    envelope["body"] = json.dumps([args, {**kwargs, **arguments}, embed])
    return json.dumps(envelope).encode()


def test_only_what_is_signed_is_run(
    start_worker: StartWorker,
    client: Client,
    celery_app: Celery,
    redis_client: redis.Redis,
    noise: Noise,
    key_file: Path,
) -> None:
    """Not signed, changed, renamed, signed by a stranger: dead. Signed by either key: run."""
    lane = queue_key(Priority.NORMAL)
    client.submit(noise(0), request_id="copied")
    message = redis_client.lindex(lane, 0)
    assert isinstance(message, bytes)
    signed = json.loads(json.loads(message)["body"])[1]
    redis_client.lpush(lane, changed(message, options={"language": "de"}))
    redis_client.lpush(lane, changed(message, signature=sign({"evil": b"e" * 32}, "copied", signed)))
    redis_client.lpush(lane, changed(message, signature=7))
    redis_client.lpush(lane, message.replace(b'"copied"', b'"renamed"'))
    celery_app.send_task("workers.transcribe", kwargs={"audio": signed["audio"]}, task_id="stranger")
    newer = {"new": NEW.partition(":")[2].encode()}
    arguments = {name: value for name, value in signed.items() if name != "signature"}
    redis_client.set(payload_key("by-the-new-key"), noise(0).tobytes())
    arguments["audio"] = {**signed["audio"], "key": payload_key("by-the-new-key")}
    arguments["signature"] = sign(newer, "by-the-new-key", arguments)
    celery_app.send_task("workers.transcribe", kwargs=arguments, task_id="by-the-new-key")
    start_worker(signing_keys_file=key_file)
    assert client.result("copied", timeout=WAIT).text == text_of(noise(0))
    assert client.result("by-the-new-key", timeout=WAIT).text == text_of(noise(0))
    last = client.submit(noise(1), priority="urgent")
    assert last.result(WAIT).text == text_of(noise(1))
    assert len(DeadOnes(redis_client).list()) == 5


def test_audio_that_was_exchanged_is_not_run(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise, key_file: Path
) -> None:
    """The message is as it was signed, the audio is not: the request fails and says so."""
    ticket = client.submit(noise(1))
    redis_client.set(payload_key(ticket.request_id), noise(2).tobytes())
    start_worker(signing_keys_file=key_file)
    with pytest.raises(RequestError) as failed:
        ticket.result(WAIT)
    assert failed.value.code == "CHECKSUM_MISMATCH"
