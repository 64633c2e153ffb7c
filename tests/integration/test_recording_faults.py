"""Promise: what goes wrong with one part of a recording costs that part, and somebody is told."""

from __future__ import annotations

import asyncio
import json
import struct
import wave
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import redis
from faster_whisper import decode_audio
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from cli.main import app
from cli.outcomes import told_what_goes_on
from producer import AsyncClient, Client
from producer.manifest import KEY_PREFIX
from protocol.errors import Cancelled, EngineError, RequestError, ResultTimeout
from protocol.request import SAMPLE_RATE, Priority
from protocol.routing import queue_key, result_key
from protocol.transcript import Segment, Timings, Transcript
from protocol.wire import encode_transcript
from tests.integration.conftest import StartWorker
from workers.demo import speech

#: 10 s of noise: five parts of 2 s.
NOISE = np.random.default_rng(3).integers(-8_000, 8_000, 10 * SAMPLE_RATE, dtype=np.int16)

PARTS = [f"r-{number:04}" for number in range(1, 7)]

#: That of each part which is stored here: the worker has heard all at once.
RECEIPT = Timings(
    queued=0.5, prepared=0.1, engine=1.0, total=2.0, batch_id="w@a/1", batch_size=6, batch_position=0,
    batch_reason="full", attempts=1, worker="w@a", submitted_at=1_000.0,
)  # fmt: skip

Store = Callable[[str], None]


@pytest.fixture
def succeed(redis_client: redis.Redis) -> Store:
    """Store a transcript as a worker would."""

    def store(request_id: str) -> None:
        segment = Segment(id=1, start=0.5, end=1.0, text=" hi")
        done = Transcript(
            request_id=request_id, text="hi", language="en", language_probability=1.0, duration=2.0,
            segments=(segment,), timings=RECEIPT,
        )  # fmt: skip
        meta = {"status": "SUCCESS", "result": encode_transcript(done), "task_id": request_id}
        redis_client.set(result_key(request_id), json.dumps(meta))

    return store


@pytest.fixture
def fail(redis_client: redis.Redis) -> Store:
    """Store an engine's error as a worker would."""

    def store(request_id: str) -> None:
        error = {"exc_type": "EngineError", "exc_message": ["broke", "ENGINE_ERROR"]}
        redis_client.set(result_key(request_id), json.dumps({"status": "FAILURE", "result": error}))

    return store


def test_parts_are_requests_in_the_queue(client: Client, redis_client: redis.Redis) -> None:
    """Of the priority that was asked for, named after the recording, and no more than so many."""
    ticket = client.submit_recording(
        NOISE, request_id="r", split="fixed", max_segment_seconds=2.0, max_in_flight=3, priority="bulk"
    )
    assert client.queue_depth()["bulk"] == 1
    while client.queue_depth()["bulk"] < 3:
        with pytest.raises(ResultTimeout):
            ticket.enqueue_rest(timeout=1)
    assert client.queue_depth() == {"urgent": 0, "normal": 0, "bulk": 3}
    assert [part.request_id for part in ticket.parts] == PARTS[:3]
    assert 0 < redis_client.ttl(KEY_PREFIX + "r") <= 86_400


@pytest.mark.parametrize("awaited", [False, True], ids=["Client", "AsyncClient"])
def test_every_part_is_wanted_when_the_recording_is(
    redis_url: str, redis_client: redis.Redis, awaited: bool
) -> None:
    """The deadline and the tenant of the recording are in the message of each part, for either client."""
    given: Any = {"split": "fixed", "max_segment_seconds": 2.0, "deadline": 60.0, "tenant": "north"}

    async def begun() -> None:
        async with AsyncClient(redis_url) as client:
            await (await client.submit_recording(NOISE, **given)).enqueue_rest(timeout=60)

    if awaited:
        asyncio.run(begun())
    else:
        with Client(redis_url) as client:
            client.submit_recording(NOISE, **given).enqueue_rest(timeout=60)
    messages = cast(list[bytes], redis_client.lrange(queue_key(Priority.NORMAL), 0, -1))
    arguments = [json.loads(json.loads(message)["body"])[1] for message in messages]
    assert [one["tenant"] for one in arguments] == ["north"] * len(PARTS)
    seconds, _ = redis_client.time()
    assert [one["deadline_at"] for one in arguments] == pytest.approx([seconds + 60] * len(PARTS), abs=30)


def test_one_failed_part_is_reported_and_not_fatal(client: Client, succeed: Store, fail: Store) -> None:
    """Here and wherever else it is collected, with its time span."""
    ticket = client.submit_recording(NOISE, request_id="r", split="fixed", max_segment_seconds=2.0)
    ticket.enqueue_rest(timeout=60)
    for request_id in PARTS:
        (fail if request_id == PARTS[2] else succeed)(request_id)
    for whole in (ticket, client.get_recording("r")):
        transcript = whole.result(timeout=60)
        (failure,) = whole.failures
        assert (failure.code, failure.request_id) == ("ENGINE_ERROR", PARTS[2])
        assert (failure.start, failure.end) == (whole.parts[2].start, whole.parts[2].end)
        assert transcript.warnings == (str(failure),)
        assert len(transcript.segments) == len(PARTS) - 1
        assert transcript.timings == whole.timings == replace(RECEIPT, parts=5, batches=1, workers=1)


def test_if_every_part_fails_so_does_the_recording(client: Client, fail: Store) -> None:
    """There is nothing to return."""
    ticket = client.submit_recording(NOISE, request_id="r", split="fixed", max_segment_seconds=2.0)
    ticket.enqueue_rest(timeout=60)
    for request_id in PARTS:
        fail(request_id)
    with pytest.raises(EngineError, match="broke"):
        ticket.result(timeout=60)
    assert ticket.status == "failed"


def test_a_part_whose_audio_is_gone_fails_alone(
    client: Client, redis_client: redis.Redis, start_worker: StartWorker
) -> None:
    """With a real worker: the audio of one part has expired, the others are transcribed."""
    ticket = client.submit_recording(NOISE, request_id="r", split="fixed", max_segment_seconds=2.0)
    ticket.enqueue_rest(timeout=60)
    redis_client.delete(f"segue:audio:{PARTS[1]}")
    start_worker()
    transcript = ticket.result(timeout=60)
    assert [failure.request_id for failure in ticket.failures] == [PARTS[1]]
    assert len(transcript.segments) == len(PARTS) - 1


def test_cancel_cancels_all_parts_for_everybody(client: Client, succeed: Store) -> None:
    """What waits never runs; whoever collects it is told, and cancelling again changes nothing."""
    ticket = client.submit_recording(
        NOISE, request_id="r", split="fixed", max_segment_seconds=2.0, max_in_flight=4
    )
    while client.queue_depth()["normal"] < 4:
        with pytest.raises(ResultTimeout):
            ticket.result(timeout=1)
    succeed(PARTS[0])
    elsewhere = client.get_recording("r")
    assert elsewhere.cancel()
    assert client.statuses(PARTS[:5]) == ["completed", "cancelled", "cancelled", "cancelled", "unknown"]
    for one in (ticket, elsewhere, client.get_recording("r")):
        with pytest.raises(Cancelled, match="the recording was cancelled"):
            one.result(timeout=60)
        assert one.status == "cancelled"


def test_who_waits_for_what_another_cancels_is_told(client: Client, succeed: Store) -> None:
    """Not given the rest as if its parts had failed, though all had been enqueued."""
    ticket = client.submit_recording(NOISE, request_id="r", split="fixed", max_segment_seconds=2.0)
    ticket.enqueue_rest(timeout=60)
    succeed(PARTS[0])
    assert client.get_recording("r").cancel()
    with pytest.raises(Cancelled, match="the recording was cancelled"):
        ticket.result(timeout=60)


def test_what_has_ended_cannot_be_cancelled(client: Client, succeed: Store) -> None:
    """As with a request: False, and its transcript stays."""
    ticket = client.submit_recording(NOISE, request_id="r", split="fixed", max_segment_seconds=2.0)
    ticket.enqueue_rest(timeout=60)
    for request_id in PARTS:
        succeed(request_id)
    assert not client.get_recording("r").cancel()
    assert client.get_recording("r").result(timeout=60).text == "hi hi hi hi hi hi"


def test_a_full_redis_is_waited_out(client: Client, redis_client: redis.Redis, succeed: Store) -> None:
    """`Overloaded` in the middle: once there is room the recording goes on where it was."""
    ticket = client.submit_recording(NOISE, request_id="r", split="fixed", max_segment_seconds=2.0)
    redis_client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(ResultTimeout):
            ticket.enqueue_rest(timeout=1.5)
    finally:
        redis_client.config_set("maxmemory", "0")
    ticket.enqueue_rest(timeout=60)
    assert redis_client.llen(queue_key("normal")) == len(PARTS)  # type: ignore[arg-type]
    for request_id in PARTS:
        succeed(request_id)
    assert len(ticket.result(timeout=60).segments) == len(PARTS)


def test_an_unknown_recording_is_waited_for_and_said_to_be(client: Client) -> None:
    """Another process may be about to begin it; if none does, that is what an unknown request gets, too."""
    ticket = client.get_recording("nobody")
    assert ticket.status == "unknown"
    with pytest.raises(RequestError, match="nobody has heard of recording nobody") as refused:
        ticket.result(timeout=0.3)
    assert refused.value.code == "UNKNOWN_ID"


def test_junk_in_place_of_a_recording_is_an_error_of_ours(client: Client, redis_client: redis.Redis) -> None:
    """Whoever wrote it."""
    redis_client.hset(KEY_PREFIX + "j", "1", "[{}")
    with pytest.raises(EngineError) as caught:
        client.get_recording("j").result(timeout=1)
    assert caught.value.code == "BAD_RESULT"


@pytest.mark.parametrize("wrong", [{"language": "xx"}, {"split": "loud"}, {"request_id": "x" * 121}])
def test_what_is_wrong_is_told_at_once(client: Client, wrong: dict[str, str]) -> None:
    """Before anything of the recording is in the queue."""
    with pytest.raises(RequestError):
        client.submit_recording(NOISE, **wrong)  # type: ignore[arg-type]
    assert sum(client.queue_depth().values()) == 0


def test_the_command_line_says_what_is_missing(
    redis_url: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    """A file that cannot be read to its end: the text of what can be, why that is not all, and status 1."""
    said = np.tile(decode_audio(str(speech()[0].path)), 30)
    said[40 * SAMPLE_RATE] = np.nan
    path = tmp_path / "talk.wav"
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, SAMPLE_RATE, 4 * SAMPLE_RATE, 4, 32)
    data = said.astype("<f4").tobytes()
    path.write_bytes(b"RIFF\xff\xff\xff\xffWAVE" + layout + b"data" + struct.pack("<I", len(data)) + data)
    start_worker()
    asked = CliRunner().invoke(app, ["transcribe", str(path), "--timeout", "60", "--redis-url", redis_url])
    assert (asked.exit_code, len(asked.stdout.splitlines())) == (1, 1)
    assert f"segue: {path}: 40.00 s to its end: the rest cannot be read: sample" in asked.stderr


def test_a_wait_that_ends_early_leaves_nothing_behind(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Nobody is there and time is up: what waits of a recording is cancelled, since half is of no use."""
    path = tmp_path / "talk.wav"
    wav(path, np.tile(NOISE, 7))  # 70 parts, of which 64 may wait
    cut = ["--split", "fixed", "--max-segment-seconds", "1", "--timeout", "0.5"]
    asked = on_the_command_line(redis_url, "transcribe", str(path), *cut)
    assert asked.exit_code == 4
    assert f"segue: {path}: cancelled at 0:00:00 of" in asked.stderr
    assert names(redis_client, "segue:audio:")
    assert names(redis_client, "segue:cancelled:") == names(redis_client, "segue:audio:")


@pytest.mark.parametrize("why", [ResultTimeout("late"), KeyboardInterrupt(), BrokenPipeError()])
def test_a_wait_that_ends_early_leaves_alone_what_is_on_its_way(
    client: Client, capsys: pytest.CaptureFixture[str], why: BaseException
) -> None:
    """All parts are enqueued, so anybody can collect it later; who wants no more is not told how."""
    ticket = client.submit_recording(NOISE, request_id="r", split="fixed", max_segment_seconds=2.0)
    ticket.enqueue_rest(timeout=60)
    with pytest.raises(type(why)), told_what_goes_on(deque([("talk.wav", ticket)])):
        raise why
    told = "" if isinstance(why, BrokenPipeError) else "segue: talk.wav: goes on as request r\n"
    assert capsys.readouterr().err == told
    assert client.get_recording("r").status == "queued"


def test_who_closes_the_pipe_leaves_no_half_recording(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody would enqueue the rest of it."""
    ticket = client.submit_recording(NOISE, request_id="r", split="fixed", max_segment_seconds=2.0)
    with pytest.raises(BrokenPipeError), told_what_goes_on(deque([("talk.wav", ticket)])):
        raise BrokenPipeError
    assert capsys.readouterr().err.startswith("segue: talk.wav: cancelled at 0:00:00 of")
    assert client.get_recording("r").status == "cancelled"


def on_the_command_line(redis_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--redis-url", redis_url])


def test_a_recording_is_asked_for_like_a_request(
    client: Client, redis_url: str, succeed: Store, fail: Store
) -> None:
    """By its id: where it is, and its transcript; what is missing is in its line of JSON, the status 1."""
    client.submit_recording(NOISE, request_id="r", split="fixed", max_segment_seconds=2.0).enqueue_rest(
        timeout=60
    )
    assert on_the_command_line(redis_url, "status", "r").stdout == "r\tqueued\n"
    waited = on_the_command_line(redis_url, "result", "r")
    assert (waited.exit_code, "segue: r: goes on as request r" in waited.stderr) == (4, True)
    for request_id in PARTS:
        (fail if request_id == PARTS[2] else succeed)(request_id)
    asked = on_the_command_line(redis_url, "result", "r", "--json")
    assert asked.exit_code == 1
    (missing,) = json.loads(asked.stdout)["failures"]
    assert (missing["code"], missing["request_id"]) == ("ENGINE_ERROR", PARTS[2])
    whole = client.get_recording("r")
    whole.result(60)
    assert (missing["start"], missing["end"]) == (whole.parts[2].start, whole.parts[2].end)
    assert on_the_command_line(redis_url, "status", "r", "r-0003").stdout == "r\tcompleted\nr-0003\tfailed\n"
    assert on_the_command_line(redis_url, "cancel", "r").exit_code == 1


def test_a_recording_is_cancelled_like_a_request(client: Client, redis_url: str) -> None:
    """All of it, by one id."""
    client.submit_recording(NOISE, request_id="r", split="fixed", max_segment_seconds=2.0)
    asked = on_the_command_line(redis_url, "cancel", "r")
    assert (asked.exit_code, asked.stdout) == (0, "r\tcancelled\n")
    assert client.status(PARTS[0]) == "cancelled"


def test_submit_enqueues_all_of_a_long_file(
    client: Client, redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Its id comes first; what cannot be enqueued to its end, since nothing gets done, is not left half."""
    path = tmp_path / "talk.wav"
    cut = ["--split", "fixed", "--max-segment-seconds"]
    wav(path, np.tile(NOISE, 7))
    asked = on_the_command_line(redis_url, "submit", str(path), *cut, "7")
    assert (asked.exit_code, asked.stderr) == (0, "")
    ticket = client.get_recording(asked.stdout.strip())
    assert ticket.status == "queued"
    assert (len(ticket.parts), ticket.progress.is_read) == (11, True)
    early = on_the_command_line(redis_url, "submit", str(path), *cut, "1", "--timeout", "2")
    assert early.exit_code == 4
    assert f"segue: {path}: cancelled at 0:00:00 of" in early.stderr
    assert client.get_recording(early.stdout.strip()).status == "cancelled"


def wav(path: Path, samples: NDArray[np.int16]) -> None:
    """Write a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


def names(redis_client: redis.Redis, prefix: str) -> set[str]:
    """What follows `prefix` in the keys that begin with it."""
    found: Any = redis_client.keys(prefix + "*")
    return {key.decode().removeprefix(prefix) for key in found}
