"""Promise: the ZeroMQ service answers every message, many clients at once, and ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from numpy.typing import NDArray
from typer.testing import CliRunner

from cli.main import app
from cli.zmq.message import MAX_MESSAGE_BYTES
from cli.zmq.service import MAX_BYTES, MAX_FRAME_BYTES, MAX_MESSAGES
from tests.bad_asks import BAD_IDS, shown
from tests.integration.servers import worker_on
from tests.integration.zmq_service import answer, ask, asking, zmq_service
from tests.redis_users import as_user
from workers.engine.fake import fingerprint

SECOND = [0.0] * 16_000
Noise = Callable[..., NDArray[np.int16]]


@pytest.fixture(scope="module")
def endpoint(new_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service and a worker with the fake engine, for all tests that do not stop them."""
    folder = tmp_path_factory.mktemp("zmq")
    with worker_on(new_redis, folder), zmq_service(as_user(new_redis, "producer"), folder) as (_, where):
        yield where


def text_of(samples: NDArray[np.int16]) -> str:
    """What the fake engine hears in them."""
    return fingerprint(samples.astype(np.float32) / np.float32(32_768))


def test_queued_audio_has_its_transcript_under_its_id(endpoint: str, noise: Noise) -> None:
    """Floats or whole numbers, at any rate: queued under the id given, or under one that is made."""
    audio = noise(1)
    queued = ask(
        endpoint,
        action="queue_for_batch",
        audio_data=(audio / 32_768).tolist(),
        language="en",
        request_id="floats",
    )
    assert queued == {"status": "success", "request_id": "floats", "warnings": []}
    made = ask(endpoint, action="queue_for_batch", audio_data=audio.tolist())
    results = [
        ask(endpoint, action="result", request_id=one["request_id"], timeout=60) for one in (queued, made)
    ]
    assert {one["text"] for one in results} == {text_of(audio)}
    assert results[0]["status"] == "success"
    assert results[0]["timings"]["attempts"] == 1
    assert ask(endpoint, action="status", request_id="floats")["state"] == "completed"


def test_a_direct_batch_is_answered_in_order(endpoint: str, noise: Noise) -> None:
    """As `model_client.generate` answers: the caller's ids, a bad entry alone with its error."""
    audios = [noise(2), noise(3)]
    entries: list[dict[str, Any]] = [
        {"audio_data": audio.tolist(), "sample_rate": 16_000, "request_id": f"sample{at}"}
        for at, audio in enumerate(audios, start=1)
    ]
    entries.insert(1, {"audio_data": [None] * 16_000, "request_id": "bad"})
    for _ in range(2):  # the ids of the first call do not stand in the way of the second
        done = ask(endpoint, action="transcribe_batch", batch_data=entries, language="en", timeout=60)
        assert done["status"] == "success"
        assert [one["request_id"] for one in done["results"]] == ["sample1", "bad", "sample2"]
        assert [one.get("text") for one in done["results"]] == [text_of(audios[0]), None, text_of(audios[1])]
        assert done["results"][1]["error"]["code"] == "BAD_ARRAY"


def test_health_says_how_much_waits(endpoint: str) -> None:
    """The service and Redis answer."""
    assert ask(endpoint, action="health") == {
        "status": "success",
        "queue": {"urgent": 0, "normal": 0, "bulk": 0},
    }


QUEUE = {"action": "queue_for_batch", "audio_data": SECOND}


@pytest.mark.parametrize(
    ("message", "code", "said"),
    [
        ({}, "BAD_REQUEST", "action is None: expected one of queue_for_batch, transcribe_batch, result"),
        ({"action": "reboot"}, "BAD_REQUEST", "action is 'reboot'"),
        ({"action": ["health"]}, "BAD_REQUEST", "action is ['health']"),
        ({"action": "health", "verbose": 1}, "BAD_REQUEST", "unknown field 'verbose'"),
        ({"action": "queue_for_batch"}, "BAD_REQUEST", "has no audio_data"),
        ({"action": "transcribe_batch"}, "BAD_REQUEST", "has no batch_data"),
        ({"action": "result"}, "BAD_REQUEST", "has no request_id"),
        ({**QUEUE, "audio_data": "AAAA"}, "BAD_ARRAY", "of type str"),
        ({**QUEUE, "audio_data": "/proc/self/environ"}, "BAD_ARRAY", "of type str"),
        ({**QUEUE, "priority": "urgent"}, "BAD_REQUEST", "unknown field 'priority'"),
        ({**QUEUE, "audio_data": ["0.1"] * 16_000}, "BAD_ARRAY", "audio_data[0] is '0.1'"),
        ({**QUEUE, "audio_data": [*SECOND, float("nan")]}, "NON_FINITE_SAMPLES", "sample 16000 is nan"),
        ({**QUEUE, "audio_data": [*SECOND, float("-inf")]}, "NON_FINITE_SAMPLES", "sample 16000 is -inf"),
        ({**QUEUE, "audio_data": [*SECOND, 32_767.5]}, "SAMPLES_OUT_OF_RANGE", "peak at 3.277e+04"),
        ({**QUEUE, "audio_data": []}, "AUDIO_EMPTY", "0 samples"),
        ({**QUEUE, "audio_data": [0.0] * 9}, "TOO_SHORT", "the shortest is 0.05 s"),
        ({**QUEUE, "audio_data": [0] * 480_001}, "TOO_LONG", "the longest audio segment is 30 s"),
        ({**QUEUE, "sample_rate": 4_000_000_000}, "BAD_SAMPLE_RATE", "8000 to 192000 Hz"),
        ({**QUEUE, "sample_rate": "16000"}, "BAD_SAMPLE_RATE", "'16000'"),
        ({**QUEUE, "request_id": "../etc"}, "BAD_REQUEST_ID", "'../etc'"),
        ({**QUEUE, "request_id": "\ud800"}, "BAD_REQUEST_ID", "ud800"),
        ({**QUEUE, "request_id": 7}, "BAD_REQUEST_ID", "is 7"),
        ({**QUEUE, "language": "klingon"}, "BAD_LANGUAGE", "klingon"),
        ({**QUEUE, "language": ["en"]}, "BAD_LANGUAGE", "['en']"),
        ({"action": "result", "request_id": "never-sent"}, "UNKNOWN_ID", "never-sent"),
        ({"action": "result", "request_id": "x", "timeout": 601}, "BAD_OPTION", "0 to 600"),
        ({"action": "result", "request_id": "x", "timeout": float("nan")}, "BAD_OPTION", "is nan"),
        ({"action": "status", "request_id": None}, "BAD_REQUEST_ID", "None"),
        ({"action": "transcribe_batch", "batch_data": 1}, "BAD_REQUEST", "of type int"),
        ({"action": "transcribe_batch", "batch_data": [], "model_pref": "best"}, "BAD_OPTION", "'best'"),
        ({"action": "transcribe_batch", "batch_data": [7], "timeout": 9}, "BAD_REQUEST", "batch_data[0]"),
    ],
)
def test_a_message_that_makes_no_sense_is_told_so(
    endpoint: str, message: dict[str, Any], code: str, said: str
) -> None:
    """Each mistake has its code, whether again helps, and a message that names the value and the limit."""
    refused = ask(endpoint, **message)
    assert refused["status"] == "error"
    assert (refused["error"]["code"], refused["error"]["retryable"]) == (code, False)
    assert said in refused["error"]["message"]


@pytest.mark.parametrize("wrong", BAD_IDS, ids=shown)
def test_what_is_no_id_is_told_so(endpoint: str, wrong: object) -> None:
    """Wherever an id may be said; none at all is an id of ours where something is queued."""
    asked: list[dict[str, Any]] = [{"action": "status"}, {"action": "result"}]
    for message in asked if wrong is None else [*asked, QUEUE]:
        assert ask(endpoint, **message, request_id=wrong)["error"]["code"] == "BAD_REQUEST_ID"


def test_an_id_stands_for_its_sound(endpoint: str, noise: Noise) -> None:
    """Case 52: the same again is the same request, other sound under its id is refused."""
    first, other = noise(11).tolist(), noise(12).tolist()
    for _ in range(2):
        queued = ask(endpoint, action="queue_for_batch", audio_data=first, request_id="taken")
        assert queued["status"] == "success"
    refused = ask(endpoint, action="queue_for_batch", audio_data=other, request_id="taken")["error"]
    assert (refused["code"], refused["retryable"]) == ("ID_CONFLICT", False)


@pytest.mark.parametrize(
    ("frames", "code", "said"),
    [
        ([b""], "BAD_REQUEST", "not JSON"),
        ([b"hello"], "BAD_REQUEST", "not JSON"),
        ([b"\xff\xfe{}"], "BAD_REQUEST", "not JSON"),
        (['{"action": "health"}'.encode("utf-16")], "BAD_REQUEST", "not JSON"),
        ([b'\xef\xbb\xbf{"action": "health"}'], "BAD_REQUEST", "not JSON"),
        ([b"[1, 2]"], "BAD_REQUEST", "of type list"),
        ([b"null"], "BAD_REQUEST", "of type NoneType"),
        ([b"[" * 200_000], "BAD_REQUEST", "nested too deeply"),
        ([b'{"action": ' + b"9" * 100_000 + b"}"], "BAD_REQUEST", "not JSON"),
        ([bytes(10_000_000)], "BAD_REQUEST", "not JSON"),
        ([np.random.default_rng(5).bytes(10_000_000)], "BAD_REQUEST", "not JSON"),
        ([b'{"action": "health", "action": "result"}'], "BAD_REQUEST", "says 'action' twice"),
        ([b'{"action": "health", "deep": {"a": 1, "b": 2, "b": 1}}'], "BAD_REQUEST", "says 'b' twice"),
        ([b" " * (MAX_MESSAGE_BYTES + 1)], "TOO_LARGE", f"the limit is {MAX_MESSAGE_BYTES}"),
        ([b'{"action":', b'"health"}'], "BAD_REQUEST", "has 2 frames"),
        ([b"{}", b"", b"{}"], "BAD_REQUEST", "has 3 frames"),
    ],
    ids="empty text bytes utf-16 bom list null deep digits zeros random twice twice-below large frames"
    " empty-frame".split(),
)
def test_bytes_that_are_no_message_are_answered(
    endpoint: str, frames: list[bytes], code: str, said: str
) -> None:
    """Whatever arrives, a REQ socket gets an answer, and may then ask again."""
    with asking(endpoint) as client:
        client.send_multipart(frames)
        refused = answer(client)["error"]
        assert (refused["code"], said in refused["message"]) == (code, True), refused["message"]
        client.send_json({"action": "health"})
        assert answer(client)["status"] == "success"


def test_a_dealer_is_understood_with_or_without_the_empty_frame(endpoint: str) -> None:
    """And the answer comes in the same form."""
    with asking(endpoint, zmq.DEALER) as client:
        for before in ([], [b""]):
            client.send_multipart([*before, b'{"action": "health"}'])
            *envelope, body = client.recv_multipart()
            assert (envelope, json.loads(body)["status"]) == (before, "success")


def test_one_who_waits_keeps_nobody_waiting(endpoint: str, noise: Noise) -> None:
    """Twenty who wait for a result that is not there yet, and what they wait for comes in after them."""
    audio = noise(4)
    with asking(endpoint, zmq.DEALER) as patient:
        for _ in range(20):
            patient.send_json({"action": "result", "request_id": "later", "timeout": 300})
        patient.send_json({"action": "health"})
        assert "queue" in answer(patient)
        ask(endpoint, action="queue_for_batch", audio_data=audio.tolist(), request_id="later")
        assert {answer(patient)["text"] for _ in range(20)} == {text_of(audio)}


def test_strangers_are_no_trouble(endpoint: str) -> None:
    """Who speaks something else than ZeroMQ, sends more than it takes in, or leaves without an answer."""
    port = int(endpoint.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(100_000))
    with asking(endpoint) as greedy, greedy.get_monitor_socket(zmq.EVENT_DISCONNECTED) as seen:
        greedy.send(bytes(MAX_FRAME_BYTES + 1))
        assert seen.poll(60_000) == zmq.POLLIN
    with asking(endpoint, zmq.DEALER) as hasty:
        hasty.send_json({"action": "result", "request_id": "never-sent", "timeout": 5})
        hasty.send_json({"action": "health"})
        answer(hasty)
    assert ask(endpoint, action="health")["status"] == "success"


def test_too_many_at_once_are_told_to_come_again(redis_url: str, tmp_path: Path) -> None:
    """What is worked on at a time is bounded, in bytes and in messages; one more is refused at once.

    Where there is no room for sound, there is still some for who asks for results.
    """
    waiting = b'{"action": "result", "request_id": "never-sent", "timeout": 600}'
    with (
        zmq_service(as_user(redis_url, "producer"), tmp_path) as (_, endpoint),
        asking(endpoint, zmq.DEALER) as client,
    ):
        for _ in range(MAX_BYTES // MAX_MESSAGE_BYTES + 1):
            client.send(waiting.ljust(MAX_MESSAGE_BYTES))
        check_overloaded(answer(client), f"{MAX_BYTES} bytes")
        assert ask(endpoint, action="health")["status"] == "success"
        for _ in range(MAX_MESSAGES):
            client.send(waiting)
        check_overloaded(answer(client), f"{MAX_MESSAGES} messages")


def check_overloaded(refused: dict[str, Any], limit: str) -> None:
    """Raise AssertionError unless it says that again helps, when, and which limit it was."""
    assert (refused["error"]["code"], refused["error"]["retryable"]) == ("OVERLOADED", True)
    assert refused["error"]["retry_after"] > 0
    assert limit in refused["error"]["message"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_and_tells_who_waits(
    redis_url: str, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """Whoever waits is told at once that the service stops, and that again helps."""
    with zmq_service(as_user(redis_url, "producer"), tmp_path) as (service, endpoint):
        with asking(endpoint, zmq.DEALER) as client:
            client.send_json({"action": "result", "request_id": "never-sent", "timeout": 600})
            client.send_json({"action": "health"})
            assert "queue" in answer(client)  # so what was sent before has arrived
            os.kill(service.pid, number)
            told = answer(client)["error"]
        assert (told["code"], told["retryable"]) == ("QUEUE_UNREACHABLE", True)
        assert "stopping" in told["message"]
        assert service.wait(60) == status
        assert "Traceback" not in service.log.read_text()


def test_it_runs_without_redis_and_says_so(nowhere: str, tmp_path: Path) -> None:
    """Redis may come later: until then every answer is that it is not there."""
    with zmq_service(nowhere, tmp_path) as (_, endpoint):
        for message in ({"action": "health"}, QUEUE, {"action": "status", "request_id": "x"}):
            refused = ask(endpoint, **message)["error"]
            assert (refused["code"], refused["retryable"]) == ("QUEUE_UNREACHABLE", True)


@pytest.mark.parametrize("address", ["0.0.0.0", "*", "::", "192.0.2.7", "myhost"])  # noqa: S104 - refused
def test_it_is_open_to_others_only_if_told(address: str) -> None:
    """It asks for no password, so whoever reaches it may use it."""
    asked = CliRunner().invoke(app, ["zmq", "--address", address])
    assert (asked.exit_code, asked.stdout) == (2, "")
    assert "--public" in asked.stderr


@pytest.mark.parametrize("more", [[], ["--public"]])
def test_a_whole_endpoint_is_no_address(more: list[str]) -> None:
    """It says what is expected, not that others could reach it."""
    asked = CliRunner().invoke(app, ["zmq", "--address", "tcp://127.0.0.1:5800", *more])
    assert (asked.exit_code, "--port" in asked.stderr, "password" in asked.stderr) == (2, True, False)


def test_an_address_that_is_taken_or_wrong_is_named() -> None:
    """One line and status 2, instead of a traceback."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        taken = CliRunner().invoke(app, ["zmq", "--port", port])
    assert taken.exit_code == 2
    assert taken.stderr == f"segue: cannot listen on tcp://127.0.0.1:{port}: Address already in use\n"
    wrong = CliRunner().invoke(app, ["zmq", "--address", "myhost", "--public"])
    assert (wrong.exit_code, "tcp://myhost:5800" in wrong.stderr) == (2, True)


def test_without_pyzmq_it_says_how_to_get_it() -> None:
    """The extra is named; `segue` itself needs it for nothing."""
    script = (
        "import sys; sys.modules['zmq'] = None; sys.argv = ['segue', 'zmq']; import cli.main; cli.main.run()"
    )
    asked = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert asked.returncode == 2
    assert asked.stderr == "segue: segue zmq needs pyzmq: pip install 'segue[zmq]'\n"
