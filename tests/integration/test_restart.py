"""Promise: a worker that stops, or loses its connection, loses nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from bench.processes import children
from producer import Client
from protocol.transcript import Status
from tests.integration.conftest import StartWorker
from workers.engine.fake import fingerprint

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0

#: The claim transport, and kombu's own as its fallback.
TRANSPORTS = ("claim", "redis")


def text_of(audio: NDArray[np.int16]) -> str:
    return fingerprint(audio.astype(np.float32) / np.float32(32_768))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_sigterm_finishes_the_batch_and_hands_back_the_rest(
    start_worker: StartWorker, client: Client, noise: Noise, transport: str
) -> None:
    """At SIGTERM the running batch gets its results, what waited goes back, and the next worker has it."""
    tickets = [client.submit(noise(number)) for number in range(12)]
    first = start_worker("first", fake_fixed_ms=1_000, max_batch_size=4, transport=transport)
    ended = int(first.wait_for_line(r"batch 1: (\d+) ", WAIT)[1])
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait(WAIT) == 0
    left = sum(client.queue_depth().values())
    done = sum(ticket.status is Status.COMPLETED for ticket in tickets)
    assert done > ended, "the batch that ran was not finished"
    assert done + left == 12
    start_worker("second")
    assert [ticket.result(WAIT).text for ticket in tickets] == [text_of(noise(n)) for n in range(12)]


def test_killed_worker_takes_its_engine_along(
    start_worker: StartWorker, client: Client, noise: Noise
) -> None:
    """SIGKILL of the parent leaves no engine process behind to hold the device."""
    worker = start_worker(fake_fixed_ms=60_000)
    client.submit(noise(1), priority="urgent")
    while client.queue_depth()["urgent"]:
        pass
    engines = children(worker.pid)
    assert engines
    os.kill(worker.pid, signal.SIGKILL)
    worker.stop()
    for engine in engines:
        while _is_alive(engine):
            pass


def test_cut_connections_lose_nothing(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """Connections cut in the middle of work: the worker comes back and every request gets its result."""
    worker = start_worker(fake_fixed_ms=300)
    tickets = []
    for round_number in range(3):
        tickets += [client.submit(noise(round_number * 10 + number)) for number in range(10)]
        worker.wait_for_line(rf"batch {round_number + 1}: ", WAIT)
        redis_client.client_kill_filter(_type="normal", skipme=True)
    assert [ticket.result(WAIT).text for ticket in tickets] == [
        text_of(noise(number)) for number in range(30)
    ]
    assert worker.poll() is None


def test_stock_transport_goes_on_after_a_cut(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """kombu's own transport may lose what was on its way when connections are cut, but not the worker."""
    worker = start_worker(fake_fixed_ms=300, transport="redis")
    client.submit(noise(1)).result(WAIT)
    redis_client.client_kill_filter(_type="normal", skipme=True)
    worker.wait_for_line("Connection to broker lost", WAIT)
    tickets = [client.submit(noise(number)) for number in range(2, 12)]
    assert [ticket.result(WAIT).text for ticket in tickets] == [text_of(noise(n)) for n in range(2, 12)]
    assert worker.poll() is None


def test_killed_workers_requests_run_elsewhere(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """SIGKILL in the middle of a batch: a living worker has its requests as soon as the lease has run out."""
    doomed = start_worker("doomed", fake_fixed_ms=60_000, max_batch_wait_ms=30_000)
    tickets = [client.submit(noise(number), request_id=f"k-{number}") for number in range(5)]
    while client.statuses([ticket.request_id for ticket in tickets]).count(Status.RUNNING) < 2:
        pass
    start_worker("heir")
    os.kill(doomed.pid, signal.SIGKILL)
    assert [ticket.result(WAIT).text for ticket in tickets] == [text_of(noise(n)) for n in range(5)]
    assert not list(redis_client.scan_iter("segue:inflight:*", count=1_000))[1:]


def test_late_result_of_a_lost_lease_is_refused(
    start_worker: StartWorker, client: Client, noise: Noise
) -> None:
    """A worker that was stopped longer than its lease finds its batch done by another, and starts anew."""
    sleeper = start_worker("sleeper", fake_fixed_ms=20_000)
    ticket = client.submit(noise(1), priority="urgent")
    while ticket.status is not Status.RUNNING:
        pass
    frozen = [sleeper.pid, *children(sleeper.pid)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    start_worker("heir")
    assert ticket.result(WAIT).timings is not None
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    sleeper.wait_for_line("this worker starts anew", WAIT)
    receipt = ticket.result(WAIT).timings
    assert receipt is not None
    assert receipt.worker == "heir@test"
    assert client.submit(noise(2), priority="urgent").result(WAIT).text == text_of(noise(2))


def test_dead_engines_requests_run_elsewhere(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """A worker whose engine dies holds nothing while it loads another: its neighbour has it all at once."""
    doomed = start_worker(
        "doomed", fake_fixed_ms=60_000, min_batch_size=4, max_batch_size=4, max_batch_wait_ms=30_000
    )
    tickets = [client.submit(noise(number)) for number in range(4)]
    while [ticket.status for ticket in tickets] != [Status.RUNNING] * 4:
        pass
    start_worker("heir")
    for child in children(doomed.pid):
        os.kill(child, signal.SIGKILL)
    assert [ticket.result(WAIT).text for ticket in tickets] == [text_of(noise(n)) for n in range(4)]
    receipts = [ticket.timings for ticket in tickets]
    assert {receipt.worker for receipt in receipts if receipt} == {"heir@test"}
    doomed.wait_for_line("put 4 requests back on the queue", WAIT)


def test_revived_engine_serves_on(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """Somebody kills the engine process while it idles: the next request finds a new one."""
    worker = start_worker()
    for child in children(worker.pid):
        os.kill(child, signal.SIGKILL)
    worker.wait_for_line(r"was killed by signal 9", WAIT)
    assert client.submit(noise(1), priority="urgent").result(WAIT).text == text_of(noise(1))


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
