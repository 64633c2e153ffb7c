"""Promise: a caller gets a ticket or a clear error, within its timeout, whatever Redis does."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from producer import Client
from protocol.errors import (
    Cancelled,
    EngineError,
    Overloaded,
    QueueUnreachable,
    RequestError,
    ResultTimeout,
    TranscriptionError,
)
from protocol.options import Options
from protocol.routing import result_key
from protocol.transcript import Status, Timings, Transcript
from protocol.wire import encode_timings, encode_transcript

Noise = Callable[..., NDArray[np.int16]]

SILENCE = np.zeros(16_000, np.int16)


@pytest.fixture
def store(redis_client: redis.Redis) -> Callable[..., None]:
    """Store a result as a worker would: under its key, and published on it."""

    def write(request_id: str, status: str, result: Any) -> None:
        meta = json.dumps({"status": status, "result": result, "task_id": request_id})
        redis_client.set(result_key(request_id), meta)
        redis_client.publish(result_key(request_id), meta)

    return write


#: What a worker says of a request that it ran alone.
RECEIPT = Timings(
    queued=0.1, prepared=0.01, engine=0.2, total=0.4, batch_id="w/1", batch_size=1, batch_position=0,
    batch_reason="alone", attempts=1, worker="w",
)  # fmt: skip


def transcript(request_id: str) -> dict[str, Any]:
    return encode_transcript(
        Transcript(request_id=request_id, text="hi", language="en", language_probability=1.0, duration=1.0)
    )


def test_submit_many_keeps_order_and_ids(client: Client, redis_client: redis.Redis) -> None:
    """Many chunks, one queue, one ticket each, in the order given."""
    ids = [f"m-{number}" for number in range(150)]
    group = client.submit_many([SILENCE] * 150, request_ids=ids, priority="bulk")
    assert [ticket.request_id for ticket in group] == ids
    assert len(group) == 150
    assert client.queue_depth() == {"urgent": 0, "normal": 0, "bulk": 150}


def test_too_few_ids_are_refused(client: Client) -> None:
    """Every audio segment needs an id if ids are given."""
    with pytest.raises(RequestError, match="fewer request_ids"):
        client.submit_many([SILENCE] * 3, request_ids=["a", "b"])


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"language": "xx"}, "BAD_LANGUAGE"),
        ({"colour": "red"}, "BAD_OPTION"),
        ({"priority": "high"}, "BAD_PRIORITY"),
        ({"priority": 11}, "BAD_PRIORITY"),
        ({"request_id": "../x"}, "BAD_REQUEST_ID"),
        ({"expires": -1}, "BAD_DEADLINE"),
        ({"expires": float("nan")}, "BAD_DEADLINE"),
        ({"expires": "soon"}, "BAD_DEADLINE"),
        ({"encoding": "mp3"}, "BAD_OPTION"),
        ({"tenant": "a/b"}, "BAD_TENANT"),
        ({"sample_rate": 0}, "BAD_SAMPLE_RATE"),
    ],
)
def test_bad_argument_is_refused_before_anything_is_written(
    client: Client, redis_client: redis.Redis, wrong: dict[str, Any], code: str
) -> None:
    """The error names the value, and Redis holds nothing of the request."""
    with pytest.raises(RequestError) as caught:
        client.submit(SILENCE, **wrong)
    assert caught.value.code == code
    assert redis_client.dbsize() == 0


def test_a_group_shows_how_many_it_is(client: Client) -> None:
    """Not where it is in memory."""
    assert repr(client.submit_many([SILENCE, SILENCE])) == "TicketGroup(2 tickets)"


def test_one_bad_segment_refuses_its_chunk(client: Client, redis_client: redis.Redis) -> None:
    """A chunk is one transaction: nothing of it is enqueued if one audio segment is unreadable."""
    with pytest.raises(RequestError):
        client.submit_many([SILENCE, np.full(16_000, np.nan, np.float32), SILENCE])
    assert redis_client.dbsize() == 0


def test_defaults_are_overridden_by_options(redis_url: str, redis_client: redis.Redis) -> None:
    """A client's defaults hold where a request says nothing."""
    with Client(redis_url, defaults=Options(language="de", beam_size=1)) as client:
        client.submit(SILENCE, language="es")
    message: Any = redis_client.rpop("segue\x06\x165")
    assert json.loads(json.loads(message)["body"])[1]["options"] == {"language": "es", "beam_size": 1}


def test_result_that_comes_while_waiting_is_returned(client: Client, store: Callable[..., None]) -> None:
    """A waiter is woken by the worker's publication, and reads what was stored."""
    ticket = client.submit(SILENCE, request_id="w")
    store("w", "SUCCESS", transcript("w"))
    assert ticket.result(timeout=60).text == "hi"
    assert ticket.ready()


def test_the_receipt_can_be_had_without_the_transcript(client: Client, store: Callable[..., None]) -> None:
    """Once there is one: before that, and of what failed, there is none."""
    ticket = client.submit(SILENCE, request_id="t")
    assert ticket.timings is None
    store("t", "SUCCESS", {**transcript("t"), "timings": encode_timings(RECEIPT)})
    assert ticket.timings == client.get("t").timings == RECEIPT
    store("f", "FAILURE", {"exc_type": "RequestError", "exc_message": ["no", "BAD_REQUEST"]})
    assert client.get("f").timings is None


def test_waiting_ends_at_its_timeout(client: Client) -> None:
    """No result in time is a `ResultTimeout` that says where the request is."""
    ticket = client.submit(SILENCE)
    with pytest.raises(ResultTimeout, match="queued"):
        ticket.result(timeout=0.1)


def test_a_client_says_how_long_its_waits_are(redis_url: str, redis_client: redis.Redis) -> None:
    """Where a call does not say, whatever it is that waits; what would be for ever is refused."""
    with Client(redis_url, timeout=0.01) as hasty:
        group = hasty.submit_many([SILENCE, SILENCE])
        waits: list[Callable[[], object]] = [
            group.tickets[0].result,
            group.results,
            lambda: list(group.as_completed()),
            lambda: hasty.transcribe(SILENCE),
            lambda: hasty.result(group.tickets[1].request_id, timeout=None),
            hasty.submit_recording(SILENCE, split="fixed").result,
        ]
        for wait in waits:
            with pytest.raises(ResultTimeout):
                wait()
        (late,) = hasty.transcribe_batch([SILENCE])
        assert isinstance(late, ResultTimeout)
    for timeout in (0, -1, float("inf"), float("nan"), True, "60"):
        with pytest.raises(RequestError, match="timeout is"):
            Client(redis_url, timeout=timeout)  # type: ignore[arg-type]


def test_group_results_come_in_order_and_errors_in_place(client: Client, store: Callable[..., None]) -> None:
    """`return_exceptions` puts an error where its transcript would be; otherwise it is raised."""
    group = client.submit_many([SILENCE] * 3, request_ids=["a", "b", "c"])
    store("c", "SUCCESS", transcript("c"))
    store("a", "SUCCESS", transcript("a"))
    store("b", "FAILURE", {"exc_type": "RequestError", "exc_message": ["no", "BAD_REQUEST"]})
    told: list[tuple[int, int]] = []
    a, b, c = group.results(60, return_exceptions=True, progress=lambda *done: told.append(done))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert isinstance(a, Transcript)
    assert isinstance(c, Transcript)
    assert isinstance(b, RequestError)
    with pytest.raises(RequestError, match="no"):
        group.results(60)


def test_as_completed_gives_what_is_ready_and_then_times_out(
    client: Client, store: Callable[..., None]
) -> None:
    """Finished tickets come first; the unfinished ones end in a `ResultTimeout` that counts them."""
    group = client.submit_many([SILENCE] * 3, request_ids=["a", "b", "c"])
    store("b", "SUCCESS", transcript("b"))
    ended = group.as_completed(timeout=0.2)
    assert next(ended)[0].request_id == "b"
    with pytest.raises(ResultTimeout, match="2 of 3"):
        next(ended)


@pytest.mark.parametrize(
    ("status", "result", "expected", "kind"),
    [
        ("REVOKED", {"exc_type": "TaskRevokedError", "exc_message": ["revoked"]}, "cancelled", Cancelled),
        ("REVOKED", {"exc_type": "TaskRevokedError", "exc_message": ["expired"]}, "expired", None),
        ("FAILURE", {"exc_type": "Popen", "exc_module": "subprocess", "exc_message": ["x"]}, "failed", None),
        ("SUCCESS", {"text": "not ours"}, "completed", EngineError),
        ("SUCCESS", None, "completed", EngineError),
        ("NONSENSE", None, "failed", EngineError),
    ],
)
def test_stored_state_becomes_status_and_typed_error(
    client: Client,
    store: Callable[..., None],
    status: str,
    result: Any,
    expected: str,
    kind: type[TranscriptionError] | None,
) -> None:
    """Whatever is stored, by whomever: a status of ours and an error of ours, no foreign class."""
    store("s", status, result)
    assert client.status("s") is Status(expected)
    with pytest.raises(kind or TranscriptionError):
        client.result("s")


@pytest.mark.parametrize("junk", ["", "{", "[]", "null", "7"])
def test_junk_in_place_of_a_result_is_a_failure(client: Client, redis_client: redis.Redis, junk: str) -> None:
    """Whoever wrote it: no waiter is left waiting, and none sees a foreign exception."""
    redis_client.set(result_key("j"), junk)
    assert client.status("j") is Status.FAILED
    with pytest.raises(EngineError) as caught:
        client.result("j")
    assert caught.value.code == "BAD_RESULT"


def test_full_redis_is_overload(client: Client, redis_client: redis.Redis) -> None:
    """At `maxmemory` a submit is refused as `Overloaded`, and nothing of it is kept."""
    client.queue_depth()
    redis_client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(Overloaded) as caught:
            client.submit(SILENCE)
        assert (caught.value.code, caught.value.retryable) == ("BROKER_FULL", True)
    finally:
        redis_client.config_set("maxmemory", "0")
    assert redis_client.dbsize() == 0


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_unreachable_redis_is_said_at_once() -> None:
    """Nobody listens: `QueueUnreachable`, which may be tried again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with Client(f"redis://127.0.0.1:{port}/0") as client, pytest.raises(QueueUnreachable) as caught:
        client.submit(SILENCE)
    assert caught.value.retryable


def test_silent_redis_does_not_hang_a_submit(deaf_port: int) -> None:
    """Somebody listens and never answers: the socket timeout ends the call."""
    url = f"redis://127.0.0.1:{deaf_port}/0?socket_timeout=0.2"
    with Client(url) as client, pytest.raises(QueueUnreachable):
        client.submit(SILENCE)


def test_any_id_can_be_asked_for_and_bad_ones_are_refused(client: Client) -> None:
    """Asking needs no submit before; what cannot be an id is refused."""
    assert client.statuses(["a", "b"]) == [Status.UNKNOWN, Status.UNKNOWN]
    assert client.statuses([]) == []
    with pytest.raises(RequestError):
        client.get("../x")


def test_input_warnings_are_on_the_ticket(client: Client) -> None:
    """Samples beyond full scale are normalised, and the ticket says so."""
    loud = np.linspace(-2, 2, 16_000, dtype=np.float32)
    assert any("2" in warning for warning in client.submit(loud).warnings)
    assert client.submit(SILENCE).warnings == ()
