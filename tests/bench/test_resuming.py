"""How soon work goes on after a fault: who is asked, what counts, and what does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from bench.history import Event, What
from bench.resuming import PROBE, Resuming
from protocol.request import Priority
from protocol.routing import queue_key, result_key
from protocol.transcript import Timings, Transcript
from protocol.wire import encode_transcript

URGENT = queue_key(Priority.URGENT)

RECEIPT = Timings(
    queued=0,
    prepared=0,
    engine=0,
    total=0,
    batch_id="w@faults/1",
    batch_size=1,
    batch_position=0,
    batch_reason="urgent",
    attempts=1,
    worker="w@faults",
)


@pytest.fixture
def open_door(redis_url: str, redis_client: redis.Redis) -> Iterator[threading.Event]:
    """A worker of urgent requests, who takes none before the event is set; then it is as fast as can be."""
    opened, ending = threading.Event(), threading.Event()

    def serve() -> None:
        opened.wait()
        while not ending.is_set():
            taken: Any = redis_client.brpop([URGENT], timeout=0.1)
            if taken:
                name = json.loads(taken[1])["headers"]["id"]
                transcript = Transcript(
                    request_id=name,
                    text="",
                    language="en",
                    language_probability=1,
                    duration=1,
                    timings=RECEIPT,
                )
                value = json.dumps({"status": "SUCCESS", "result": encode_transcript(transcript)})
                redis_client.set(result_key(name), value)
                redis_client.publish(result_key(name), value)

    thread = threading.Thread(target=serve)
    thread.start()
    yield opened
    opened.set()
    ending.set()
    thread.join()


def test_a_fault_lasts_until_the_next_request_is_served(
    redis_url: str, redis_client: redis.Redis, open_door: threading.Event
) -> None:
    """From its end on; the history of the storm knows these requests by their names."""
    with Resuming(redis_url) as resuming:
        resuming.began(lasts=True)
        resuming.ended("full", lasted=True)
        while not redis_client.llen(URGENT):
            pass
        message: Any = redis_client.lindex(URGENT, 0)
        open_door.set()
        while not resuming.seconds["full"]:
            pass
    assert json.loads(message)["headers"]["id"].startswith(PROBE)
    assert len(resuming.seconds["full"]) == 1


def test_faults_that_overlap_say_nothing(redis_url: str, open_door: threading.Event) -> None:
    """Neither one that ends in another, nor one after which another begins before work goes on."""
    with Resuming(redis_url) as resuming:
        resuming.began(lasts=True)
        resuming.began(lasts=True)
        resuming.ended("inner", lasted=True)
        resuming.ended("outer", lasted=True)
        resuming.began(lasts=False)
        resuming.ended("last")
        open_door.set()
        while not resuming.seconds["last"]:
            pass
    assert {kind for kind, seconds in resuming.seconds.items() if seconds} == {"last"}


def test_a_worker_is_back_with_its_own_first_result(redis_url: str, open_door: threading.Event) -> None:
    """Whoever had asked for it; what it gave before says nothing."""
    open_door.set()
    with Resuming(redis_url) as resuming:
        resuming.ended("cut off", "w@faults")
    ended_at = resuming._healed[0].ended_at
    moments = [("w@faults/1", -1), ("v@faults/1", 1), ("w@faults/2", 2), ("w@faults/3", 3)]
    resuming.read([Event(what=What.TOLD, request_id="r", by=by, at=ended_at + at) for by, at in moments])
    assert resuming.seconds["cut off"] == [pytest.approx(2)]
