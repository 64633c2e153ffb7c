"""Promise: one worker with several models hears each request with the one that it asks for.

All tests share one worker with room for two models, which leave after a second without a batch.
"""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.processes import children
from cli.leash import Leashed
from producer import Client
from protocol.errors import EngineError, RequestError, TranscriptionError
from protocol.transcript import Transcript
from tests.integration.servers import worker_on
from tests.redis_users import as_user
from workers import demo
from workers.engine.fake import fingerprint

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0

#: Longer than any batch here takes on a busy machine, and shorter than the slow model takes to load.
BATCH_TIMEOUT = 5.0

SETTINGS = """\
model: fast
models:
  fast: quick
  balanced: thorough
  quality: {model: demo, engine: faster-whisper, device: cpu}
  slow: loads 7000 ms
  endless: loads 600000 ms
  broken: missing
max_loaded_models: 2
model_idle_ttl: 1
"""


@pytest.fixture(scope="module")
def worker(new_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leashed]:
    """One worker for all tests of this file."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "segue.yaml").write_text(SETTINGS)
    with worker_on(new_redis, folder, config=folder / "segue.yaml", batch_timeout=BATCH_TIMEOUT) as running:
        yield running


@pytest.fixture(scope="module")
def clients(new_redis: str, worker: Leashed) -> Iterator[Client]:
    """A client of the worker's Redis."""
    with Client(as_user(new_redis, "producer")) as made:
        yield made


def text_of(audio: NDArray[np.int16]) -> str:
    return fingerprint(audio.astype(np.float32) / np.float32(32_768))


def test_a_burst_of_all_preferences(clients: Client, noise: Noise) -> None:
    """Each request is heard by the model it asks for, or told that there is none; each batch has one."""
    wanted = ["fast", "balanced", None, "broken", "best", "fast", "balanced", None] * 4
    audios = [noise(seed) for seed in range(len(wanted))]
    clips = [clip for clip in demo.speech() if clip.language == "en"][:3]
    tickets = [
        clients.submit(audio, model_pref=name, initial_prompt="echo the model")
        for audio, name in zip(audios, wanted, strict=True)
    ]
    spoken = clients.submit_many([clip.path for clip in clips], model_pref="quality", language="en")
    models = {"fast": "fake quick", None: "fake quick", "balanced": "fake thorough"}
    batches = defaultdict(set)
    for ticket, audio, name in zip(tickets, audios, wanted, strict=True):
        outcome = outcome_of(ticket.result)
        if isinstance(outcome, Transcript):
            assert outcome.model == models[name]
            assert outcome.text == f"{text_of(audio)}:{outcome.model}"
            assert outcome.timings is not None
            batches[outcome.timings.batch_id].add(outcome.model)
        else:
            assert (type(outcome), outcome.code) == FAILURES[name or ""]
    assert all(len(models) == 1 for models in batches.values())
    heard = spoken.results(timeout=WAIT)
    assert {one.model for one in heard} == {"demo"}
    assert [one.text.strip() for one in heard] == [clip.text for clip in clips]


FAILURES = {"broken": (EngineError, "MODEL_UNAVAILABLE"), "best": (RequestError, "UNKNOWN_MODEL")}


def outcome_of(result: Callable[[float], Transcript]) -> Transcript | TranscriptionError:
    try:
        return result(WAIT)
    except TranscriptionError as error:
        return error


def test_an_unknown_preference_is_told_the_names(clients: Client, noise: Noise) -> None:
    """The worker knows its names, so it says them."""
    outcome = outcome_of(clients.submit(noise(1), model_pref="best").result)
    assert str(outcome).startswith("model_pref is 'best': this worker has fast, balanced, quality, slow, ")


def test_a_model_that_has_left_comes_back(worker: Leashed, clients: Client, noise: Noise) -> None:
    """An idle model leaves the memory, and a request that comes later is heard all the same."""
    first = clients.transcribe(noise(1), model_pref="balanced", timeout=WAIT)
    worker.wait_for_line(r"model balanced has left the memory: idle for 1 s", WAIT)
    assert clients.transcribe(noise(1), model_pref="balanced", timeout=WAIT).text == first.text


def test_loading_is_not_hanging(worker: Leashed, clients: Client, noise: Noise) -> None:
    """A model that takes longer to load than a batch may run is waited for; its engine is not killed."""
    before = engine_of(worker)
    transcript = clients.transcribe(noise(2), model_pref="slow", timeout=WAIT)
    assert (transcript.text, transcript.model) == (text_of(noise(2)), "fake loads 7000 ms")
    assert transcript.timings is not None
    assert transcript.timings.prepared > BATCH_TIMEOUT
    assert transcript.timings.attempts == 1
    assert engine_of(worker) == before


def test_who_dies_while_loading_blames_the_model(worker: Leashed, clients: Client, noise: Noise) -> None:
    """The requests fail at once, and not as poison; the next engine serves the others."""
    tickets = clients.submit_many([noise(seed) for seed in range(3, 6)], model_pref="endless").tickets
    worker.wait_for_line(r"model fake loads 600000 ms is loaded now", WAIT)
    os.kill(engine_of(worker), signal.SIGKILL)
    for ticket in tickets:
        outcome = outcome_of(ticket.result)
        assert isinstance(outcome, EngineError)
        assert outcome.code == "MODEL_UNAVAILABLE"
        assert "'fake loads 600000 ms'" in outcome.message
    assert clients.transcribe(noise(6), timeout=WAIT).text == text_of(noise(6))


def engine_of(worker: Leashed) -> int:
    """The process id of its engine, which is its only child."""
    (engine,) = children(worker.pid)
    return engine
