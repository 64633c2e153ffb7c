"""Promise: bad sound, and what is asked wrongly, fails alone at every door, with its code."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from celery import Celery
from numpy.typing import NDArray
from typer.testing import CliRunner

from bench.junk import envelope
from cli.main import app
from producer import AsyncClient, Client
from protocol.errors import RequestError, TranscriptionError
from protocol.request import MAX_INLINE_BYTES
from protocol.routing import QUEUE
from tests.bad_asks import (
    BAD_BASE64,
    BAD_IDS,
    BAD_LENGTHS_OF_TIME,
    BAD_METADATA,
    BAD_OPTIONS,
    BAD_PRIORITIES,
    BAD_TIMES,
    BAD_VERSIONS,
    shown,
)
from tests.bad_sound import BadFile, every_bad_file, says, wav
from tests.bombs import flac_of_silence
from tests.integration.conftest import StartWorker

Noise = Callable[..., NDArray[np.int16]]

#: Longest wait for a result, in seconds, on a machine where others work.
WAIT = 60.0

GOOD = wav(np.arange(16_000, dtype="<i2"))

#: Code and message of each in `WRONG`, and in `BY_HAND`: a line each.
ASKED_WRONGLY = Path(__file__).parents[1] / "data" / "golden" / "asked_wrongly.txt"
SENT_WRONGLY = ASKED_WRONGLY.with_name("sent_wrongly.txt")

#: What one request cannot hold, `segue transcribe` takes for a recording: which has sound, or another fault.
AS_RECORDING = {"TOO_LONG": None, "TOO_LARGE": "UNSUPPORTED_FORMAT"}

#: What a worker says of them, which is sent PCM and FLAC of an announced length and knows nothing else.
WORKERS_CODES = {"AUDIO_CORRUPT", "BAD_SAMPLE_RATE", "TOO_LONG", "TOO_LARGE"}

#: Reads the files named on its command line as audio segments, and those after ``--`` as recordings; says by
#: how many bytes its memory grew and which descriptors it has more than before.
READER = """
import os, resource, sys
from contextlib import suppress
from producer.audio import read_audio
from producer.long_audio import read_pieces
from protocol.errors import RequestError

def memory():
    return 1_024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def descriptors():
    return sorted(os.readlink(one) for one in os.scandir("/proc/self/fd") if os.path.lexists(one))

good, *bad = sys.argv[1:]
segments, recordings = bad[:bad.index("--")], bad[bad.index("--") + 1:]
read_audio(good)
before, opened = memory(), descriptors()
for path in segments:
    with suppress(RequestError):
        read_audio(path)
for path in recordings:
    with suppress(RequestError):
        list(read_pieces(path, sample_rate=None, warn=id))
print(memory() - before, *(set(descriptors()) - set(opened)))
"""


@pytest.fixture(scope="module")
def bad() -> list[BadFile]:
    """The one list."""
    return every_bad_file()


@pytest.fixture
def paths(bad: list[BadFile], tmp_path: Path) -> list[Path]:
    """A file for each."""
    folder = tmp_path / "bad"
    folder.mkdir()
    made = [folder / f"{number}.bin" for number in range(len(bad))]
    for path, one in zip(made, bad, strict=True):
        path.write_bytes(one.content)
    return made


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A file that nothing is wrong with."""
    path = tmp_path / "good.wav"
    path.write_bytes(GOOD)
    return path


def codes(outcomes: list[object]) -> list[str | None]:
    return [outcome.code if isinstance(outcome, TranscriptionError) else None for outcome in outcomes]


def told(error: object) -> tuple[str, str] | None:
    """Code and message, if it is an error."""
    return (error.code, error.message) if isinstance(error, TranscriptionError) else None


def expected(one: BadFile, message: str) -> tuple[str, str]:
    """What whoever sends it is told, word for word where that does not depend on libav."""
    return one.code, message if says(message, one.said) else one.said


def lines(outcomes: list[object]) -> str:
    """Code and message of each, as they stand in the files: without what Python itself says of base64."""
    said = "".join(f"{code}: {message}\n" for code, message in filter(None, map(told, outcomes)))
    return re.sub(r"(is not base64 from character \d+ on): .*", r"\1", said)


def check_in_place(outcomes: list[object], bad: list[BadFile]) -> None:
    """Raise `AssertionError` unless each has its error in its place, between two that are well."""
    first, *errors, last = map(told, outcomes)
    assert (first, last) == (None, None)
    assert errors == [
        expected(one, error[1] if error else "") for one, error in zip(bad, errors, strict=True)
    ]


def test_submit_refuses_it(client: Client, bad: list[BadFile]) -> None:
    """Before anything is queued, in one line that says what is wrong and nothing of the content."""
    for one in bad:
        with pytest.raises(RequestError) as refused:
            client.submit(one.content)
        assert told(refused.value) == expected(one, refused.value.message)
        assert 0 < len(refused.value.message.splitlines()[0]) == len(refused.value.message) < 300
    assert client.queue_depth() == {"urgent": 0, "normal": 0, "bulk": 0}


def test_its_neighbours_are_transcribed(
    start_worker: StartWorker, client: Client, bad: list[BadFile]
) -> None:
    """Each has its error in its place, and the good ones among them their transcripts."""
    start_worker()
    outcomes = client.transcribe_batch([GOOD, *(one.content for one in bad), GOOD], timeout=WAIT)
    check_in_place([*outcomes], bad)


def test_coroutines_are_told_the_same(start_worker: StartWorker, redis_url: str, bad: list[BadFile]) -> None:
    """`AsyncClient` refuses what `Client` refuses, however many at once; the good ones are transcribed."""

    async def transcribe(client: AsyncClient, content: bytes) -> object:
        try:
            return await client.transcribe(content, timeout=WAIT)
        except TranscriptionError as error:
            return error

    async def outcomes() -> list[object]:
        async with AsyncClient(redis_url) as client:
            contents = [GOOD, *(one.content for one in bad), GOOD]
            return await asyncio.gather(*(transcribe(client, content) for content in contents))

    start_worker()
    check_in_place(asyncio.run(outcomes()), bad)


def test_the_command_line_names_it(
    start_worker: StartWorker,
    redis_url: str,
    bad: list[BadFile],
    paths: list[Path],
    good: Path,
) -> None:
    """A line for each on standard error and no traceback, exit status 1, and the good one's text."""
    start_worker()
    command = [
        "transcribe",
        *map(str, paths),
        str(good),
        "--json",
        "--redis-url",
        redis_url,
        "--timeout",
        "60",
    ]
    asked = CliRunner().invoke(app, command)
    lines = [json.loads(line) for line in asked.stdout.splitlines()]
    said = [line["error"]["code"] if "error" in line else None for line in lines]
    assert said == [*(AS_RECORDING.get(one.code, one.code) for one in bad), None]
    for one, line in zip(bad, lines, strict=False):
        if one.code not in AS_RECORDING:
            assert says(line["error"]["message"], one.said), (one, line)
    assert (asked.exit_code, "Traceback" in asked.stderr) == (1, False)
    complaints = [line for line in asked.stderr.splitlines() if line.endswith("]")]
    assert len(complaints) == sum(code is not None for code in said)


def test_submit_on_the_command_line_names_it(
    client: Client, redis_url: str, bad: list[BadFile], paths: list[Path], good: Path
) -> None:
    """One line each, in the same words and with the code, and exit status 1; the good one and recordings
    have ids."""
    asked = CliRunner().invoke(app, ["submit", *map(str, paths), str(good), "--redis-url", redis_url])
    wanted = [AS_RECORDING.get(one.code, one.code) for one in bad]
    complaints = [line for line in asked.stderr.splitlines() if line.endswith("]")]
    refused = [(one, path, code) for one, path, code in zip(bad, paths, wanted, strict=True) if code]
    for line, (one, path, code) in zip(complaints, refused, strict=True):
        message, _, told_code = line.removeprefix(f"segue: {path}: ").rpartition(" [")
        assert told_code == f"{code}]"
        assert one.code in AS_RECORDING or says(message, one.said), (one, line)
    assert (asked.exit_code, len(asked.stdout.split())) == (1, 1 + wanted.count(None))
    assert client.queue_depth()["normal"] >= 1


def test_what_is_no_file_of_sound_is_named_on_the_command_line(redis_url: str, tmp_path: Path) -> None:
    """Case 60: nothing waits on a device or a FIFO, and nothing is told of what is in them."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    wrong = {
        "/dev/zero": "PATH_FORBIDDEN",
        str(tmp_path / "fifo"): "PATH_FORBIDDEN",
        str(tmp_path / "loop"): "FILE_UNREADABLE",
        str(tmp_path / "absent.wav"): "FILE_NOT_FOUND",
        str(tmp_path / "*.wav"): "FILE_NOT_FOUND",
        "x" * 5_000: "FILE_UNREADABLE",
    }
    for verb in ("submit", "transcribe"):
        asked = CliRunner().invoke(app, [verb, *wrong, "--json", "--redis-url", redis_url])
        lines = [json.loads(line) for line in asked.stdout.splitlines()]
        assert {line["input"]: line["error"]["code"] for line in lines} == wrong
        assert (asked.exit_code, len(asked.stderr.splitlines())) == (1, len(wrong))


def test_a_worker_refuses_it_from_stock_celery(
    start_worker: StartWorker,
    client: Client,
    celery_app: Celery,
    noise: Noise,
    bad: list[BadFile],
) -> None:
    """Who goes around the client is refused by the worker, which lives; the others of the batch go on."""
    worker = start_worker()
    short = [one.content for one in bad if 0 < len(one.content) <= MAX_INLINE_BYTES]
    assert len(short) > 50
    for number, content in enumerate(short):
        audio = {"encoding": "flac", "samples": 16_000, "base64": base64.b64encode(content).decode()}
        celery_app.send_task("workers.transcribe", [audio], task_id=f"bad-{number}", priority=9)
    neighbour = client.submit(noise(1), priority="urgent")
    outcomes = [_outcome(client, f"bad-{number}") for number in range(len(short))]
    assert set(codes(outcomes)) <= WORKERS_CODES
    assert neighbour.result(WAIT).text
    assert worker.poll() is None


def _outcome(client: Client, request_id: str) -> object:
    try:
        return client.get(request_id).result(WAIT)
    except TranscriptionError as error:
        return error


WRONG: list[tuple[dict[str, Any], str]] = [
    *(({"request_id": one}, "BAD_REQUEST_ID") for one in BAD_IDS if one is not None),
    *(({"priority": one}, "BAD_PRIORITY") for one in BAD_PRIORITIES),
    *BAD_OPTIONS,
    *(({"metadata": one}, "BAD_METADATA") for one in BAD_METADATA),
    *(({name: one}, "BAD_DEADLINE") for name in ("deadline", "expires") for one in BAD_LENGTHS_OF_TIME),
]


def test_what_is_asked_wrongly_is_not_queued(client: Client) -> None:
    """A bad id, priority, option or time is refused with its code, in these words, before it is written."""
    refusals: list[object] = []
    for wrong, code in WRONG:
        with pytest.raises(RequestError) as refused:
            client.submit(GOOD, **wrong)
        assert (shown(wrong), refused.value.code) == (shown(wrong), code)
        refusals.append(refused.value)
    assert lines(refusals) == ASKED_WRONGLY.read_text("utf-8")
    assert client.queue_depth() == {"urgent": 0, "normal": 0, "bulk": 0}


def test_what_coroutines_ask_wrongly_is_not_queued(redis_url: str, client: Client) -> None:
    """By the same rules, in the same words."""

    async def ask() -> list[object]:
        async with AsyncClient(redis_url) as asking:
            tried = (asking.submit(GOOD, **wrong) for wrong, _ in WRONG)
            return [*await asyncio.gather(*tried, return_exceptions=True)]

    assert lines(asyncio.run(ask())) == ASKED_WRONGLY.read_text("utf-8")
    assert client.queue_depth() == {"urgent": 0, "normal": 0, "bulk": 0}


def raw(**audio: object) -> dict[str, Any]:
    return {"audio": {"encoding": "flac", "samples": 800, **audio}}


INLINE = raw(base64="AAAA")

#: What somebody may send with stock Celery, and the code.
BY_HAND: list[tuple[dict[str, Any], str]] = [
    (raw(key="segue:audio:bomb"), "TOO_LONG"),
    (raw(key="segue:audio:bomb", digest="0" * 32), "CHECKSUM_MISMATCH"),
    (raw(key="segue:audio:gone"), "PAYLOAD_EXPIRED"),
    (raw(key="../../etc/passwd"), "PATH_FORBIDDEN"),
    (raw(path="/proc/self/environ"), "BAD_REQUEST"),
    (raw(url="file:///etc/passwd"), "BAD_REQUEST"),
    *((raw(base64=one), "BAD_BASE64") for one in BAD_BASE64),
    *(({**INLINE, "options": options}, code) for options, code in BAD_OPTIONS),
    *(({**INLINE, "metadata": one}, "BAD_METADATA") for one in BAD_METADATA if one != {7: "call"}),
    *(({**INLINE, "deadline_at": one}, "BAD_DEADLINE") for one in BAD_TIMES),
    *(({**INLINE, "v": one}, "BAD_SCHEMA_VERSION") for one in BAD_VERSIONS),
]

#: Case 56: JSON that is none, or that some reader chokes on, as whole messages.
CHOKING = [
    b"\xef\xbb\xbf" + json.dumps(envelope()).encode(),
    json.dumps(envelope()).encode("utf-16"),
    json.dumps(envelope()).encode().replace(b"junk", b"\xff\xfe"),
    *(
        json.dumps(envelope(body=body)).encode()
        for body in (
            '[[], {"audio": ' + "[" * 20_000 + "]" * 20_000 + "}, {}]",
            '[[], {"v": ' + "9" * 100_000 + "}, {}]",
            '[[], {"audio": {}, "audio": {}, "v": 1, "v": NaN}, {}]',
            "\ufeff[[], {}, {}]",
        )
    ),
]


def test_what_is_sent_wrongly_by_hand_fails_alone(
    start_worker: StartWorker,
    client: Client,
    celery_app: Celery,
    redis_client: redis.Redis,
    noise: Noise,
) -> None:
    """Each has its code and these words, among them hours of sound in kilobytes; the others go on."""
    worker = start_worker()
    redis_client.set("segue:audio:bomb", flac_of_silence(36_000))
    redis_client.lpush(QUEUE, *CHOKING)
    for number, (wrong, _) in enumerate(BY_HAND):
        celery_app.send_task("workers.transcribe", kwargs=wrong, task_id=f"by-hand-{number}", priority=9)
    neighbour = client.submit(noise(1), priority="urgent")
    outcomes = [_outcome(client, f"by-hand-{number}") for number in range(len(BY_HAND))]
    assert codes(outcomes) == [code for _, code in BY_HAND]
    assert lines(outcomes) == SENT_WRONGLY.read_text("utf-8")
    assert neighbour.result(WAIT).text
    assert worker.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and ru_maxrss in KiB")
def test_it_costs_next_to_nothing(bad: list[BadFile], paths: list[Path], good: Path, tmp_path: Path) -> None:
    """All of them, and one of each code as a recording: no descriptor stays open, and memory grows by less
    than 100 MB in all. Where they are decoded it may grow to a GiB, which the kernel sees to."""
    one_each = {one.code: path for one, path in zip(bad, paths, strict=True)}
    command = [sys.executable, "-c", READER, *map(str, [good, *paths, "--", *one_each.values()])]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100, cwd=tmp_path)
    grown, *opened = ran.stdout.split()
    assert int(grown) < 100_000_000
    assert [one for one in opened if not one.startswith("socket:")] == []
    assert len(opened) <= 1, "the decoding process's, which is kept for the next file"
