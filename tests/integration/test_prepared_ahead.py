"""Promise: what runs next is prepared while the engine runs, and nobody gets anything else for it.

One worker, whose engine takes long enough to prepare several batches meanwhile, and tells Prometheus of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.request import urlopen

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from cli.leash import Leashed
from producer import Client
from protocol.errors import RequestError, TranscriptionError
from protocol.routing import payload_key
from protocol.transcript import Transcript
from tests.integration.conftest import StartWorker
from tests.integration.outage import wait_until
from workers.engine.fake import fingerprint

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0
ECHO = "echo the context"

#: Each batch takes 0.3 s, and preparing one of its four requests 10 ms.
COST = {
    "fake_fixed_ms": 300,
    "fake_per_row_ms": 0,
    "fake_per_audio_second_ms": 0,
    "fake_prepare_per_row_ms": 10,
}
SETTINGS = {**COST, "max_batch_size": 4, "min_batch_size": 1, "metrics_address": "127.0.0.1:0"}


def heard_in(audio: NDArray[np.int16]) -> str:
    return fingerprint(audio.astype(np.float32) / np.float32(32_768))


def figures(worker: Leashed) -> dict[str, float]:
    """What the worker tells Prometheus, by series."""
    where = re.search(r"metrics are at (http://\S+)", worker.log.read_text())
    assert where is not None
    with urlopen(where[1], timeout=WAIT) as answer:  # noqa: S310  # the address is the worker's own
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


@pytest.mark.parametrize("transport", ["claim", "redis"])
def test_every_request_gets_its_own(
    start_worker: StartWorker,
    client: Client,
    redis_client: redis.Redis,
    noise: Noise,
    transport: str,
) -> None:
    """Texts, contexts, errors and cancellations are those that they would be without looking ahead."""
    audios = [noise(seed) for seed in range(16)]
    prompts = {5: "again 1 times", 9: "refuse", 10: ECHO}
    tickets = [
        client.submit(audio, request_id=f"r{seed}", initial_prompt=prompts.get(seed))
        for seed, audio in enumerate(audios)
    ]
    turns = [client.submit(noise(seed), conversation="talk", initial_prompt=ECHO) for seed in (20, 21)]
    redis_client.delete(payload_key("r7"))
    redis_client.set(payload_key("r8"), b"not what was announced")
    client.cancel("r13")
    worker = start_worker(transport=transport, **SETTINGS)
    results: list[Transcript | TranscriptionError] = []
    for ticket in tickets:
        try:
            results.append(ticket.result(WAIT))
        except TranscriptionError as error:
            results.append(error)
    failed = {at: one.code for at, one in enumerate(results) if isinstance(one, TranscriptionError)}
    assert failed == {7: "PAYLOAD_EXPIRED", 8: "AUDIO_CORRUPT", 9: RequestError.default_code, 13: "CANCELLED"}
    for at, one in enumerate(results):
        if isinstance(one, Transcript):
            assert one.text.partition(":")[0] == heard_in(audios[at])
    first, second = (turn.result(WAIT) for turn in turns)
    assert first.text == f"{heard_in(noise(20))}:"
    assert second.text == f"{heard_in(noise(21))}:{first.text.strip()}"
    assert figures(worker)["segue_prepared_ahead_total"] >= 4


def test_metrics_say_what_ran(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """Sizes, reasons, waits and deadlines of what this worker has run; no label is anybody's."""
    worker = start_worker(**SETTINGS | {"fake_per_audio_second_ms": 400}, prepare_ahead=0)
    client.submit(noise(0, 25), priority="urgent", tenant="somebody", deadline=8).result(WAIT)
    tickets = client.submit_many([noise(seed) for seed in range(1, 9)], priority="bulk")
    for ticket in tickets:
        ticket.result(WAIT)
    wait_until(lambda: figures(worker)["segue_batch_size_sum"] >= 9)  # results do not wait for that
    told = figures(worker)
    assert (told["segue_batch_size_sum"], told["segue_batch_size_count"]) == (
        9,
        told["segue_batch_duration_seconds_count"],
    )
    assert told['segue_queue_wait_seconds_count{class="urgent"}'] == 1
    assert told['segue_queue_wait_seconds_count{class="bulk"}'] == 8
    assert told['segue_late_total{action="finished"}'] == told["segue_deadline_slack_seconds_count"] == 1
    dispatched = {
        name: count for name, count in told.items() if name.startswith("segue_batch_dispatch_total")
    }
    assert sum(dispatched.values()) == told["segue_batch_size_count"]
    assert dispatched['segue_batch_dispatch_total{reason="urgent"}'] == 1
    assert told["segue_batch_duration_seconds_sum"] >= 0.3 * told["segue_batch_size_count"]
    assert told["segue_prepared_ahead_total"] == told["segue_held_messages"] == told["segue_ready_items"] == 0
    assert told["segue_batch_cap"] == 4
    assert not [name for name in told if "somebody" in name]


def test_behind_a_short_batch_the_next_is_prepared_as_well(
    start_worker: StartWorker, client: Client, noise: Noise
) -> None:
    """It is over before a look would be due: what was claimed meanwhile is prepared."""
    worker = start_worker(**SETTINGS | {"fake_fixed_ms": 20, "fake_prepare_per_row_ms": 1})
    audios = [noise(seed) for seed in range(200)]
    tickets = client.submit_many(audios)
    assert [ticket.result(WAIT).text for ticket in tickets] == [heard_in(audio) for audio in audios]
    assert figures(worker)["segue_prepared_ahead_total"] >= 20  # most, on a quiet machine
