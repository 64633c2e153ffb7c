"""Promise: whoever is cut off from Redis loses nothing, doubles nothing, and comes back by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from cli.local_redis import LocalRedis
from producer import Client
from protocol.routing import LEASES
from tests.integration.outage import (
    LONG,
    WAIT,
    Crew,
    all_right,
    audio,
    crew_on,
    hold,
    submit,
    wait_until,
)

#: Requests of one test: several batches of 4 for each of two workers; and of one that is slow.
REQUESTS = 24
FEW = 12

#: Nearly four leases, in seconds.
PARTITION = 15.0

ANEW = "this worker starts anew"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    """A Redis of this file's own, which never falters itself."""
    with LocalRedis(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture(scope="module")
def crew(server: LocalRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """Two workers, each behind a proxy, which outlive every test of this file."""
    with crew_on(server.url, tmp_path_factory.mktemp("crew"), "a", "b") as made:
        yield made
        assert made.all_live()


@pytest.fixture
def client(server: LocalRedis, crew: Crew) -> Iterator[Client]:
    """A producer that is never cut off."""
    with Client(server.url) as made:
        yield made


def worker_of(client: Client) -> str:
    """Who serves a request that is submitted now."""
    receipt = client.submit(audio(99), priority="urgent").result(WAIT).timings
    assert receipt is not None
    return receipt.worker.partition("@")[0]


def living(server: LocalRedis) -> int:
    """How many workers have a lease that nobody has swept away yet."""
    with redis.Redis.from_url(server.url) as connection:
        return int(connection.zcard(LEASES))


@pytest.mark.parametrize("up", [True, False], ids=["both ways", "answers only"])
def test_neighbour_takes_over_and_late_results_are_refused(
    server: LocalRedis, crew: Crew, client: Client, up: bool
) -> None:
    """One of two is cut off in mid-batch: the other has its requests; back, it starts anew and serves."""
    proxy, lost = crew.proxies["a"], crew.said("a").count(ANEW)
    wait_until(lambda: worker_of(client) == "a")
    tickets = submit(client, REQUESTS)
    proxy.silence(up=up)
    assert all_right(tickets)
    wait_until(lambda: living(server) == 1)
    proxy.clear()
    wait_until(lambda: crew.said("a").count(ANEW) == lost + 1)
    wait_until(lambda: worker_of(client) == "a")
    assert all_right(tickets)


@pytest.mark.parametrize(
    ("seconds", "forget"),
    [(PARTITION, False), (LONG, True)],
    ids=["connections live on", "connections are dead"],
)
def test_all_workers_cut_off_keep_what_they_have(
    crew: Crew, client: Client, seconds: float, forget: bool
) -> None:
    """All leases run out, but Redis saw nobody who could say so: each request is computed once."""
    before = crew.computed()
    tickets = submit(client, REQUESTS)
    for proxy in crew.proxies.values():
        proxy.silence()
    hold(seconds)
    for proxy in crew.proxies.values():
        proxy.clear(forget=forget)
    assert all_right(tickets)
    assert crew.computed_since(before, REQUESTS) == REQUESTS


@pytest.mark.parametrize(("delay", "chunk"), [(0.1, 65_536), (0.01, 128)], ids=["200 ms", "trickle"])
def test_slow_way_costs_time_only(crew: Crew, client: Client, delay: float, chunk: int) -> None:
    """A round trip of 200 ms, or 12 kB a second on each connection: no worker loses its lease for it."""
    lost = {name: crew.said(name).count(ANEW) for name in crew.workers}
    before = crew.computed()
    for proxy in crew.proxies.values():
        proxy.slow(delay, chunk)
    assert all_right(submit(client, FEW))
    for proxy in crew.proxies.values():
        proxy.clear()
    assert crew.computed_since(before, FEW) == FEW
    assert {name: crew.said(name).count(ANEW) for name in crew.workers} == lost
