"""Promise: text that is not good enough is heard again in another batch, and holds no neighbour up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from producer import Client
from protocol.transcript import Timings, Transcript
from tests.integration.conftest import StartWorker
from workers.engine.fake import fingerprint

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0

#: Not good enough at temperature 0 and 0.2, so that the third batch of such a row is its last.
TWICE = "again 2 times"


def receipt(transcript: Transcript) -> Timings:
    assert transcript.timings is not None
    return transcript.timings


@pytest.mark.parametrize("transport", ["claim", "redis"])
def test_only_failed_rows_run_again(
    start_worker: StartWorker, client: Client, noise: Noise, transport: str
) -> None:
    """Of a batch of six, two need three temperatures: they share the two further batches, and no other does.

    Each has its own text, once; the receipt says how many batches it took and adds their times up.
    """
    audios = [noise(seed) for seed in range(6)]
    prompts = [TWICE if seed in (1, 4) else None for seed in range(6)]
    worker = start_worker(
        transport=transport, min_batch_size=6, max_batch_size=6, max_batch_wait_ms=30_000, fake_fixed_ms=20
    )
    tickets = [
        client.submit(audio, initial_prompt=prompt) for audio, prompt in zip(audios, prompts, strict=True)
    ]
    first = [tickets[at].result(WAIT) for at in (0, 2, 3, 5)]
    assert {(receipt(one).batch_size, receipt(one).attempts) for one in first} == {(6, 1)}
    client.transcribe_batch([noise(seed) for seed in range(10, 16)], timeout=WAIT)
    again = [tickets[at].result(WAIT) for at in (1, 4)]
    for at, transcript in zip((1, 4), again, strict=True):
        assert transcript.text == fingerprint(audios[at].astype(np.float32) / np.float32(32_768))
        assert transcript.segments[0].temperature == 0.4
        timings = receipt(transcript)
        assert (timings.batch_size, timings.attempts) == (2, 3)
        assert timings.engine >= 3 * 0.02
        assert timings.total >= timings.queued + timings.prepared + timings.engine
        assert timings.queued >= 0
    worker.stop()
