"""Promise: the command line does what the Python client does, and its exit status says how it went."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from celery import Celery
from typer.testing import CliRunner, Result

from cli.main import app
from protocol.request import Priority
from protocol.routing import LIMITS, QUEUE, queue_key
from tests.integration.conftest import StartWorker, wait_until_it_listens
from workers.demo import speech

FILES = [str(clip.path) for clip in speech()[:3]]

pytestmark = pytest.mark.usefixtures("redis_client")


@pytest.fixture(autouse=True)
def tests_own_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command finds the tests' Redis, empty."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.delenv("REDIS_PASSWORD_FILE", raising=False)


@pytest.fixture
def no_audio(tmp_path: Path) -> str:
    """A file that is not audio."""
    path = tmp_path / "notes.txt"
    path.write_text("not a sound")
    return str(path)


def segue(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_transcripts_come_in_the_order_of_the_files(start_worker: StartWorker) -> None:
    """One line of JSON per file: the transcript, its receipt, and which file it is of."""
    start_worker()
    asked = segue("transcribe", *FILES, "--format", "json", "--timeout", "60")
    assert (asked.exit_code, asked.stderr) == (0, "")
    lines = [json.loads(line) for line in asked.stdout.splitlines()]
    assert [line["input"] for line in lines] == FILES
    assert all(line["text"] and line["timings"]["batch_size"] for line in lines)


def test_a_bad_file_fails_alone(start_worker: StartWorker, no_audio: str) -> None:
    """The others have their line of text; the bad one is named on standard error, and the status is 1."""
    start_worker()
    asked = segue("transcribe", FILES[0], no_audio, FILES[1], "--timeout", "60")
    assert asked.exit_code == 1
    assert len(asked.stdout.splitlines()) == 2
    assert asked.stderr.startswith(f"segue: {no_audio}: ")


def test_a_bad_file_has_its_line_of_json(start_worker: StartWorker, no_audio: str) -> None:
    """With JSON the lines match the files, whatever became of them."""
    start_worker()
    asked = segue("transcribe", no_audio, FILES[0], "--format", "json", "--timeout", "60")
    first, second = map(json.loads, asked.stdout.splitlines())
    assert (first["input"], first["error"]["retryable"]) == (no_audio, False)
    assert second["text"]


def test_submit_now_and_collect_later(start_worker: StartWorker) -> None:
    """Ids are all one needs: submitted, counted, looked for and collected by separate commands."""
    submitted = segue("submit", *FILES[:2], "--priority", "bulk")
    ids = submitted.stdout.split()
    assert segue("queue").stdout == "urgent\t0\nnormal\t0\nbulk\t2\n"
    assert segue("status", *ids).stdout == f"{ids[0]}\tqueued\n{ids[1]}\tqueued\n"
    start_worker()
    collected = segue("result", *ids, "--timeout", "60")
    assert (collected.exit_code, len(collected.stdout.splitlines())) == (0, 2)
    assert segue("status", ids[1]).stdout == f"{ids[1]}\tcompleted\n"
    assert segue("queue").stdout == "urgent\t0\nnormal\t0\nbulk\t0\n"


def test_submit_goes_on_after_a_bad_file(no_audio: str) -> None:
    """Good files get their ids, and the status tells that not all did."""
    submitted = segue("submit", no_audio, FILES[0])
    assert (submitted.exit_code, len(submitted.stdout.split())) == (1, 1)
    assert no_audio in submitted.stderr


def test_an_unknown_request_is_a_failure() -> None:
    """Nobody will ever have a transcript of it."""
    asked = segue("status", "never-submitted")
    assert (asked.exit_code, asked.stdout) == (1, "never-submitted\tunknown\n")


def test_a_timeout_ends_with_4_and_names_what_goes_on() -> None:
    """Time is up, the request is not: its id is there to ask again with."""
    asked = segue("transcribe", FILES[0], "--timeout", "0.1")
    assert asked.exit_code == 4
    assert f"segue: {FILES[0]}: goes on as request " in asked.stderr


def test_nobody_there_to_transcribe_ends_with_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for ever is no answer: who waits without a timeout is told that there is no worker."""
    monkeypatch.setattr("cli.outcomes.ASK_AFTER_SECONDS", 0.1)
    monkeypatch.setattr("cli.presence.ANSWER_SECONDS", 0.2)
    asked = segue("transcribe", FILES[0])
    assert asked.exit_code == 3
    assert "goes on as request" in asked.stderr
    assert "no worker answers" in asked.stderr


def test_a_slow_worker_is_waited_for(
    start_worker: StartWorker, celery_app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as a worker answers, who waits without a timeout goes on waiting."""
    monkeypatch.setattr("cli.outcomes.ASK_AFTER_SECONDS", 0.1)
    start_worker(fake_fixed_ms=1_000)
    wait_until_it_listens(celery_app)
    monkeypatch.setattr("cli.presence.ANSWER_SECONDS", 30)
    asked = segue("transcribe", FILES[0])
    assert (asked.exit_code, len(asked.stdout.splitlines())) == (0, 1)


def test_standard_output_is_only_transcripts(start_worker: StartWorker) -> None:
    """In a pipe there is no progress bar, on either stream."""
    start_worker()
    command = [sys.executable, "-m", "cli.main", "transcribe", FILES[0], "--timeout", "60"]
    asked = subprocess.run(command, capture_output=True, text=True, check=True, timeout=90)
    assert (len(asked.stdout.splitlines()), asked.stderr) == (1, "")


def test_subtitles_go_into_a_folder(start_worker: StartWorker, tmp_path: Path) -> None:
    """Files and folders as inputs, a file for each; ids of before are written the same way."""
    start_worker()
    calls = tmp_path / "calls"
    for number, file in enumerate(FILES[:2]):
        copy = calls / str(number) / "one.wav"
        copy.parent.mkdir(parents=True)
        copy.write_bytes(Path(file).read_bytes())
    folder = tmp_path / "out"
    asked = segue(
        "transcribe", str(calls), FILES[2], "-f", "srt", "-o", str(folder), "--json", "--timeout", "60"
    )
    lines = [json.loads(line) for line in asked.stdout.splitlines()]
    assert asked.exit_code == 0
    written = {path.name for path in folder.iterdir()}
    assert written == {"one.srt", "one-2.srt", f"{Path(FILES[2]).stem}.srt"}
    for line in lines:
        assert line["text"].split() == Path(line["output"]).read_text("utf-8").split("\n", 2)[2].split()
    shown = segue("result", lines[0]["request_id"], "-f", "vtt")
    assert shown.stdout.startswith("WEBVTT\n\n00:00:00.000 --> ")


def test_what_waits_can_be_cancelled() -> None:
    """Each id with where it is now; the status is 1 if one of them could not be cancelled."""
    one, two = segue("submit", *FILES[:2]).stdout.split()
    cancelled = segue("cancel", one)
    assert (cancelled.exit_code, cancelled.stdout) == (0, f"{one}\tcancelled\n")
    again = segue("cancel", two, "never-submitted")
    assert (again.exit_code, again.stdout) == (1, f"{two}\tcancelled\nnever-submitted\tunknown\n")
    assert segue("result", one).stderr == f"segue: {one}: the request was cancelled [CANCELLED]\n"


def test_standard_input_is_transcribed(start_worker: StartWorker) -> None:
    """`-` in a pipeline: what another program makes of a recording is heard without a file in between."""
    start_worker()
    command = [sys.executable, "-m", "cli.main", "transcribe", "-", "--json", "--timeout", "60"]
    sound = Path(FILES[0]).read_bytes()
    asked = subprocess.run(command, input=sound, capture_output=True, check=True, timeout=90)
    line = json.loads(asked.stdout)
    assert (line["input"], asked.stderr) == ("stdin", b"")
    assert (
        line["text"] == json.loads(segue("transcribe", FILES[0], "--json", "--timeout", "60").stdout)["text"]
    )


def test_wishes_go_with_the_request(redis_client: redis.Redis) -> None:
    """Every option that is given on the command line stands in the message, and no other does."""
    flags = "--language en --task translate --beam_size 3 --word_timestamps True --temperature 1"
    assert segue("submit", FILES[0], *flags.split(), "--priority", "urgent").exit_code == 0
    pushed = redis_client.rpop(QUEUE)
    assert isinstance(pushed, bytes)
    _, kwargs, _ = json.loads(json.loads(pushed)["body"])
    assert kwargs["options"] == {
        "language": "en",
        "task": "translate",
        "beam_size": 3,
        "word_timestamps": True,
        "temperature": [1.0],
    }


def listen() -> None:
    """Hear Ctrl-C also where the tests run in the background of a shell, which ignores it for them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def listening_to(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A `segue` of its own that hears Ctrl-C; it is over when the context is."""
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ},
        preexec_fn=listen,  # noqa: PLW1509 - what it calls needs no lock
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ids_of(queued: Sequence[bytes | str]) -> list[str]:
    """The request ids of messages, in the order in which they were sent."""
    return [json.loads(message)["headers"]["id"] for message in reversed(queued)]


def test_interrupted_ends_with_130(redis_client: redis.Redis) -> None:
    """Ctrl-C while it waits: no traceback, and the ids of what goes on are there to ask again with."""
    with listening_to("transcribe", *FILES[:2], "--priority", "urgent") as waiting:
        while redis_client.llen(QUEUE) < 2:
            assert waiting.poll() is None
        waiting.send_signal(signal.SIGINT)
        _, said = waiting.communicate(timeout=60)
    ids = ids_of(redis_client.lrange(QUEUE, 0, -1))
    told = [f"segue: {name}: goes on as request {one}" for name, one in zip(FILES, ids, strict=False)]
    assert (waiting.returncode, said.splitlines()) == (130, told)


def test_interrupted_before_all_is_sent_names_what_was(redis_client: redis.Redis) -> None:
    """Ctrl-C while it waits for room: two have been sent, and their ids are not lost."""
    redis_client.hset(LIMITS, "requests", "2")
    with listening_to("transcribe", *FILES, "--priority", "urgent") as waiting:
        while redis_client.llen(QUEUE) < 2:
            assert waiting.poll() is None
        waiting.send_signal(signal.SIGINT)
        _, said = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert [line.rpartition(" ")[2] for line in said.splitlines()] == ids_of(
        redis_client.lrange(QUEUE, 0, -1)
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("verb", ["submit", "queue", "status"])
def test_a_full_disk_loses_no_id(verb: str) -> None:
    """What cannot be printed ends in one line and status 1; the id of what was sent is on standard error."""
    arguments = {"submit": FILES[:2], "queue": [], "status": ["a"]}[verb]
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "cli.main", verb, *arguments]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=90)
    *before, last = ran.stderr.splitlines()
    assert (ran.returncode, last) == (1, "segue: standard output cannot be written: No space left on device")
    assert len(before) == (verb == "submit")
    for line in before:
        assert segue("status", line.rpartition(" ")[2]).stdout.endswith("\tqueued\n")


def test_notes_come_back_in_json(start_worker: StartWorker) -> None:
    """Those of the command line are a client's `metadata`; whoever collects has them too."""
    start_worker()
    sent = segue("submit", FILES[0], "--metadata", "call=17", "--metadata", "said=a=b, ü")
    got = segue("result", sent.stdout.strip(), "--json", "--timeout", "60")
    assert json.loads(got.stdout)["metadata"] == {"call": "17", "said": "a=b, ü"}


@pytest.mark.parametrize("notes", [["call"], ["=17"], ["call=1", "call=2"], ["x" * 65 + "=1"]])
def test_notes_that_cannot_be_are_wrong_usage(notes: list[str], redis_client: redis.Redis) -> None:
    """Said once, before anything is read or sent."""
    given = [argument for note in notes for argument in ("--metadata", note)]
    asked = segue("submit", *FILES[:2], *given)
    assert (asked.exit_code, len(asked.stderr.splitlines())) == (2, 1)
    assert asked.stderr.endswith("[BAD_METADATA]\n")
    assert redis_client.dbsize() == 0


def test_an_id_of_the_callers_own_makes_a_submit_safe_to_repeat(redis_client: redis.Redis) -> None:
    """Sent again it is the same request, queued once; with another audio it is refused."""
    for _ in range(2):
        assert segue("submit", FILES[0], "--request-id", "call-18").stdout == "call-18\n"
    assert redis_client.llen(queue_key(Priority.NORMAL)) == 1
    other = segue("submit", FILES[1], "--request-id", "call-18")
    assert (other.exit_code, "[ID_CONFLICT]" in other.stderr) == (1, True)


@pytest.mark.parametrize("verb", ["submit", "transcribe"])
def test_an_id_is_that_of_one_input(verb: str, redis_client: redis.Redis) -> None:
    """Two of one id would be one request; and what is no id is said before anything is sent."""
    for files, request_id in ((FILES[:2], "call-18"), (FILES[:1], "a b")):
        asked = segue(verb, *files, "--request-id", request_id)
        assert (asked.exit_code, len(asked.stderr.splitlines())) == (2, 1)
    assert redis_client.dbsize() == 0


def test_what_expires_does_not_run(start_worker: StartWorker) -> None:
    """It waits for nobody longer than it is worth."""
    request_id = segue("submit", FILES[0], "--expires", "0.001").stdout.strip()
    start_worker()
    asked = segue("result", request_id, "--timeout", "60")
    assert (asked.exit_code, "expired" in asked.stderr) == (1, True)
    assert segue("transcribe", FILES[0], "--expires", "-1").exit_code == 2


def test_whispers_name_of_text_is_understood(start_worker: StartWorker, tmp_path: Path) -> None:
    """`--output_format txt`, into a file of that suffix."""
    start_worker()
    given = ["--output_format", "txt", "--output_dir", str(tmp_path), "--timeout", "60"]
    assert segue("transcribe", FILES[0], *given).exit_code == 0
    assert (tmp_path / f"{Path(FILES[0]).stem}.txt").read_text()


def test_json_for_programs(no_audio: str) -> None:
    """With --json every verb prints an object for each input or id; what failed has its error."""
    submitted = segue("submit", FILES[0], no_audio, "--json")
    first, second = map(json.loads, submitted.stdout.splitlines())
    request_id = first["request_id"]
    assert first == {"input": FILES[0], "request_id": request_id}
    assert (second["input"], second["error"]["code"]) == (no_audio, "UNSUPPORTED_FORMAT")
    assert submitted.exit_code == 1
    assert json.loads(segue("queue", "--json").stdout) == {"urgent": 0, "normal": 1, "bulk": 0}
    queued = {"request_id": request_id, "status": "queued"}
    assert json.loads(segue("status", request_id, "--json").stdout) == queued
    cancelled = {"request_id": request_id, "status": "cancelled"}
    assert json.loads(segue("cancel", request_id, "--json").stdout) == cancelled


@pytest.fixture
def speaker(start_speaker: StartWorker) -> None:
    """A worker whose audio is the text that it was given."""
    start_speaker(model="loud")


@pytest.mark.usefixtures("speaker")
def test_what_is_said_goes_into_a_file(tmp_path: Path) -> None:
    """And nothing of it to standard output, unless JSON is asked for, which then says where it is."""
    file = tmp_path / "said.wav"
    asked = segue("say", "Grüße", "-o", str(file), "--timeout", "60", "--metadata", "n=1")
    assert (asked.exit_code, asked.stdout, asked.stderr) == (0, "", "")
    assert file.read_text("utf-8") == "Grüße"
    asked = segue("say", "two", "-o", str(file), "--json", "--timeout", "60")
    line = json.loads(asked.stdout)
    assert (line["text"], line["output"], "audio" in line) == ("two", str(file), False)
    assert file.read_text("utf-8") == "two"


@pytest.mark.usefixtures("speaker")
def test_what_is_said_may_come_from_standard_input_and_go_there() -> None:
    """As JSON, with the audio in it; without the line's end that a shell puts behind a text."""
    asked = CliRunner().invoke(app, ["say", "-", "--json", "--timeout", "60"], input=" one\ntwo\n\n")
    line = json.loads(asked.stdout)
    assert (asked.exit_code, line["text"], base64.b64decode(line["audio"])) == (
        0,
        " one\ntwo\n",
        b" one\ntwo\n",
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"", "segue: the text is empty: 0 characters [TEXT_EMPTY]\n"),
        (b"a\xff", "segue: the text is not UTF-8 at byte 1\n"),
        (b"x" * 4_097, "segue: the text has 4097 characters, the limit is 4096 [TOO_LONG]\n"),
        (b"x" * 1_000_000, "segue: the text has more than 16384 bytes, 4096 characters\n"),
    ],
)
def test_what_is_no_text_is_not_sent(given: bytes, said: str) -> None:
    """In one line on standard error, however much there is."""
    asked = CliRunner().invoke(app, ["say", "-", "--json"], input=given)
    assert (asked.exit_code, asked.stdout, asked.stderr) == (1, "", said)
    assert segue("queue").stdout == "urgent\t0\nnormal\t0\nbulk\t0\n"


@pytest.mark.usefixtures("speaker")
def test_what_was_made_is_not_lost(tmp_path: Path) -> None:
    """If its file cannot be written, or there is no audio for it: the id is told, and JSON has it all."""
    asked = segue("say", "one", "-o", "/dev/full", "--request-id", "a", "--timeout", "60")
    kept = "all it made is kept: `segue result a --json`\n"
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert asked.stderr == f"segue: /dev/full cannot be written: No space left on device; {kept}"
    assert json.loads(segue("result", "a", "--json").stdout)["audio"] == "b25l"
    mute = segue("say", "mute", "-o", str(tmp_path / "said.wav"), "--json", "--timeout", "60")
    assert mute.exit_code == 1
    assert mute.stderr.startswith(
        "segue: the model loud made no audio of it; all it made is kept: `segue result "
    )
    assert json.loads(mute.stdout)["text"] == "mute"


def test_what_nobody_says_in_time_goes_on(tmp_path: Path) -> None:
    """Its id is named, and a later command has it."""
    asked = segue("say", "one", "-o", str(tmp_path / "said.wav"), "--timeout", "0.2", "--request-id", "a")
    assert asked.exit_code == 4
    assert "segue: the text: goes on as request a\n" in asked.stderr
    assert segue("status", "a").stdout == "a\tqueued\n"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ((), "give --output-file or --json"),
        (("-o", ""), "cannot be written: it is a folder"),
        (("-o", "/nowhere/said.wav"), "/nowhere/said.wav cannot be written"),
        (("-o", "-"), "audio goes into a file"),
    ],
)
def test_there_must_be_a_place_for_what_is_said(place: tuple[str, ...], said: str) -> None:
    """Before anything is sent."""
    asked = segue("say", "one", *place)
    assert (asked.exit_code, asked.stdout) == (2, "")
    assert said in asked.stderr
    assert segue("queue").stdout == "urgent\t0\nnormal\t0\nbulk\t0\n"
