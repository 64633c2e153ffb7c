"""How long an engine waits while there is work: a worker with its queue full, and what its metrics say."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.contestants import Contestant, ours, running
from bench.gpu.measure import FORCED, Failed, Way, failed, noises
from bench.overlap import PATIENCE_SECONDS, Round, figures, judged
from cli.local_redis import LocalRedis, free_port
from producer import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturated:
    """One way behind a queue that never runs empty."""

    way: Way
    batch_size: int
    requests: int
    idle_percent: float
    """Of the time in which there was work, that in which the engine did not work."""
    requests_per_second: float
    """Submit to result, all of them."""
    ready_percent: float
    """Of the requests, those that were prepared before their batch began."""


def saturated(folder: Path, way: Way, device: str, size: int, batches: int) -> Saturated | Failed:
    """Send a worker so many batches at once, and wait for all results; or why it does not run here."""
    try:
        found = drained(folder, way, device, size, batches)
    except Exception as error:  # the worker's end, a timeout, a Redis that is not there
        return failed(way, error)
    return Saturated(way=way, batch_size=size, requests=size * batches, **asdict(found))


def drained(folder: Path, way: Way, device: str, size: int, batches: int) -> Round:
    """All requests, through one worker that has run batches of all sizes before.

    Raises:
        ResultTimeout: the worker does not get through them.
    """
    where = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        server = stack.enter_context(LocalRedis())
        logs = Path(stack.enter_context(TemporaryDirectory()))
        contestant = worker(folder, way, device, size, METRICS_ADDRESS=where)
        stack.enter_context(running(contestant, server.url, logs / "worker.log"))
        client = stack.enter_context(Client(server.url))
        for rows in sizes_up_to(size):
            client.submit_many(noises(rows), **FORCED).results(PATIENCE_SECONDS)
        before = figures(where)
        client.submit_many(noises(size) * batches, **FORCED).results(PATIENCE_SECONDS)
        return judged(before, figures(where))


def sizes_up_to(most: int) -> list[int]:
    """1, 2, 4 and so on, and `most`: a queue may begin with a small batch, and its shape costs once."""
    return sorted({min(1 << power, most) for power in range(most.bit_length() + 1)})


def worker(folder: Path, way: Way, device: str, size: int, **settings: object) -> Contestant:
    """A worker as somebody with such a device would start it."""
    return ours(
        ENGINE=way.engine,
        MODEL=folder,
        DEVICE=device,
        COMPUTE_TYPE=way.compute_type,
        AUDIO_CONTEXT=way.context,
        MAX_BATCH_SIZE=size,
        MIN_BATCH_SIZE=1,
        **settings,
    )
