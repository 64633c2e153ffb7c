"""Promise: a Redis Cluster is refused in so many words, by workers and by clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cli.leash import DidNotStart
from producer import AsyncClient, Client
from protocol.errors import QueueUnreachable
from tests.integration.servers import cluster, worker_on

Noise = Callable[..., NDArray[np.int16]]


@pytest.fixture(scope="module")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a node of a Cluster answers."""
    with cluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url


def test_worker_refuses_a_cluster(cluster_url: str, tmp_path: Path) -> None:
    """A worker ends before it takes a message, and says what to use instead."""
    with pytest.raises(DidNotStart, match="Use one server, or Sentinel to fail over"):
        worker_on(cluster_url, tmp_path).__enter__()


def test_client_refuses_a_cluster(cluster_url: str, noise: Noise) -> None:
    """A submit to a Cluster is refused, and nothing of it is written."""
    with Client(cluster_url) as client:
        with pytest.raises(QueueUnreachable, match="this Redis is a Cluster"):
            client.submit(noise(1))
        assert client.queue_depth()["normal"] == 0


def test_awaited_client_refuses_a_cluster(cluster_url: str, noise: Noise) -> None:
    """As the other client does."""

    async def submit() -> None:
        async with AsyncClient(cluster_url) as client:
            await client.submit(noise(1))

    with pytest.raises(QueueUnreachable, match="this Redis is a Cluster"):
        asyncio.run(submit())
