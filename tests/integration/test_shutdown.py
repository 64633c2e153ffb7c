"""Promise: a worker that is told to stop does so soon, and hands back what it has not run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from producer import Client
from protocol.transcript import Status
from tests.integration.conftest import StartWorker

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_second_signal_does_not_wait_for_the_batch(
    start_worker: StartWorker, client: Client, noise: Noise, second: signal.Signals
) -> None:
    """A batch of ten minutes, a grace of ten: asked twice, the worker hands all back and is gone."""
    tickets = [client.submit(noise(number), priority="urgent") for number in range(3)]
    worker = start_worker(fake_fixed_ms=60_000, batch_timeout=600, shutdown_grace=600)
    while client.queue_depth()["urgent"] or tickets[0].status is not Status.RUNNING:
        pass
    os.kill(worker.pid, signal.SIGTERM)
    worker.wait_for_line("Warm shutdown", WAIT)
    os.kill(worker.pid, second)
    while worker.poll() is None:
        pass
    assert client.queue_depth()["urgent"] == 3


def test_what_waits_in_the_window_goes_back_in_order(
    start_worker: StartWorker, client: Client, noise: Noise
) -> None:
    """A window that is open at SIGTERM is not waited for; the next worker finds the same queue."""
    names = ["first", "second", "third"]
    for number, name in enumerate(names):
        client.submit(noise(number), request_id=name)
    worker = start_worker(min_batch_size=8, max_batch_wait_ms=60_000)
    while client.queue_depth()["normal"]:
        pass
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.stop() == 0
    assert client.queue_depth()["normal"] == 3
    start_worker("next", max_batch_size=1)
    receipts = [client.result(name, timeout=WAIT).timings for name in names]
    batches = [int(receipt.batch_id.rpartition("/")[2]) for receipt in receipts if receipt is not None]
    assert batches == sorted(batches)
    assert len(batches) == 3
