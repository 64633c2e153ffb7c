"""Promise: what strangers put into Redis is data, and what is secret or private stays where it belongs.

docs/security.md has the whole table of threats, with the tests that stand elsewhere.
"""

from __future__ import annotations

import ast
import base64
import json
import os
import pickle
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import redis
from celery import Celery
from numpy.typing import NDArray
from redis.client import PubSub

from bench.junk import envelope, headers
from cli.leash import DidNotStart, Leashed
from producer import AsyncClient, Client, Text, Ticket
from producer.direct_batch import Entry
from producer.sound import Sound
from protocol.address import BadAddress, parse_address
from protocol.errors import EngineError, QueueUnreachable, RequestError, TranscriptionError
from protocol.options import Options
from protocol.request import MAX_INLINE_BYTES, Encoding, Payload, Priority, Request
from protocol.routing import QUEUE
from protocol.transcript import Segment, Transcript, Word
from protocol.wire import decode_request
from tests.integration.conftest import StartWorker, wait_until_it_listens
from tests.integration.servers import worker_on
from workers.engine.base import Heard, Row
from workers.engine.progress import Progress
from workers.payloads import Context, Fetched
from workers.settings import Settings, load_settings
from workers.transport.claims import Claimed
from workers.transport.dead import Dead
from workers.transport.settlement import Result, Settlement, Turn

Noise = Callable[..., NDArray[np.int16]]

ROOT = Path(__file__).parents[2]
UNSAFE_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
RUN_WHAT_THEY_ARE_GIVEN = "eval exec compile os.system os.popen yaml.load yaml.unsafe_load".split()
TAKE_SCRIPTS = ("register_script", "of_script")
TRUSTING = ("shell", "trust_remote_code")

PRODUCT = ("protocol", "batching", "producer", "workers", "cli")

WAIT = 60.0
PROMPT = "the patient's name is Marker"


def sources() -> Iterator[tuple[Path, ast.AST]]:
    """Every module of the product, read and parsed."""
    for folder in PRODUCT:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


class Opens:
    """Something that makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("kind", [("Canary", "canary_of_ours"), ("system", "os"), ("Popen", "subprocess")])
def test_forged_error_imports_nothing(
    client: Client,
    redis_client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: tuple[str, str],
) -> None:
    """A stored error that names a class of its own is an `EngineError`; its module is not even looked for."""
    (tmp_path / "canary_of_ours.py").write_text("class Canary(Exception): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    name, module = kind
    forged = {"exc_type": name, "exc_module": module, "exc_message": ["touch /tmp/x", "y", "z"]}
    redis_client.set("celery-task-meta-forged", json.dumps({"status": "FAILURE", "result": forged}))
    with pytest.raises(EngineError) as raised:
        client.result("forged", timeout=WAIT)
    assert type(raised.value) is EngineError
    assert "canary_of_ours" not in sys.modules


def test_code_in_a_message_is_not_read(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise, tmp_path: Path
) -> None:
    """Pickle, YAML and raw data end at the door: nothing of them is run, and the worker goes on."""
    canary = tmp_path / "canary"
    pickled = base64.b64encode(pickle.dumps([Opens(canary)])).decode()
    yaml = f"!!python/object/apply:builtins.open ['{canary}', 'w']"
    base64_body = {**envelope()["properties"], "body_encoding": "base64"}
    worker = start_worker()
    for message in (
        envelope(**{"content-type": "application/x-python-serialize", "content-encoding": "binary"})
        | {"body": pickled, "properties": base64_body},
        envelope(**{"content-type": "application/x-yaml", "body": yaml}),
        envelope(**{"content-type": "application/data", "body": "raw"}),
    ):
        redis_client.lpush(QUEUE, json.dumps(message))
    assert client.submit(noise(1), priority="bulk").result(WAIT).text
    assert worker.poll() is None
    assert not canary.exists()


def test_no_module_reads_code_from_data() -> None:
    """No pickle, no eval, no shell, no YAML but `safe_load`, no weights that may hold code."""
    found = [f"{path}: {what}" for path, tree in sources() for what in _ways_to_run_data(tree)]
    assert found == []


def _ways_to_run_data(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from {one.name for one in node.names} & UNSAFE_MODULES
            yield from {str(getattr(node, "module", None))} & UNSAFE_MODULES
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {one.arg: ast.unparse(one.value) for one in node.keywords}
            if called in RUN_WHAT_THEY_ARE_GIVEN:
                yield called
            if called == "torch.load" and given.get("weights_only") != "True":
                yield "torch.load"
            yield from (name for name in TRUSTING if given.get(name, "False") != "False")


def test_lua_is_never_put_together_from_data() -> None:
    """Scripts stand in files and reach Redis as they stand: what varies comes as KEYS and ARGV."""
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert "redis.call(" not in node.value, f"{path}: a script outside its file"
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(TAKE_SCRIPTS):
                script = node.args[0]
                assert not isinstance(script, ast.JoinedStr | ast.BinOp), f"{path}: not a script as it stands"
                assert ".format" not in ast.unparse(script), f"{path}: a script that is formatted"


@pytest.mark.parametrize("url", ["redis://far.example", "redis+sentinel://localhost,far.example?master=m"])
def test_far_redis_needs_a_password(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients and workers refuse a Redis elsewhere that asks for none, unless that is allowed aloud."""
    refused = r"Redis on far\.example would be used without a password"
    for client in (Client, AsyncClient):
        with pytest.raises(BadAddress, match=refused):
            client(url)
    with pytest.raises(DidNotStart, match=refused):
        worker_on(url, tmp_path).__enter__()
    monkeypatch.setenv("SEGUE_ALLOW_INSECURE", "1")
    assert Client(url)
    assert load_settings().allow_insecure
    assert Client("redis://127.0.0.2")
    assert Client(url.replace("://", "://:password@"))


def test_password_is_shown_nowhere(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path, noise: Noise
) -> None:
    """Not in logs at any level, `inspect conf`, events, Flower's pages, `repr`, errors or tracebacks."""
    password = parse_address(redis_url).password or ""
    wrong = redis_url.replace(f"{password}@", f"{password}-wrong@")
    shown = [repr(Settings(redis_url=redis_url)), repr(Client(redis_url)), repr(AsyncClient(redis_url))]
    with Client(wrong) as client:
        try:
            client.queue_depth()
        except QueueUnreachable as error:
            shown += [str(error), repr(error), "".join(traceback.format_exception(error))]
    with pytest.raises(DidNotStart) as refused:
        worker_on(wrong, tmp_path, "refused").__enter__()
    shown += [str(refused.value), (tmp_path / "refused.log").read_text()]
    with (
        PubSub(redis_client.connection_pool, ignore_subscribe_messages=True) as channel,
        worker_on(redis_url, tmp_path, log_level="debug") as worker,
        Client(redis_url) as client,
    ):
        channel.psubscribe("*")
        channel.get_message(timeout=WAIT)  # that it is subscribed
        assert client.submit(noise(1), priority="urgent").result(WAIT).text
        redis_client.lpush(QUEUE, "junk", json.dumps(envelope(body="[[], [], {}]")))
        shown += [celery("inspect", "conf", "--timeout", "10", url=redis_url), *_pages(redis_url, tmp_path)]
        worker.wait_for_line("malformed message", WAIT)
        while message := channel.get_message(timeout=1):
            shown.append(str(message["data"]))
    shown += [celery("report", url=redis_url), (tmp_path / "w.log").read_text()]
    assert password
    assert all(shown)
    assert [text for text in shown if password in text] == []


def test_password_of_sentinels_is_shown_nowhere() -> None:
    """Neither Redis's password nor the Sentinels' is in what Celery reports of itself."""
    url = "redis+sentinel://:S3CRET@localhost,127.0.0.1:7/0?master=m&sentinel_password=S3CRET"
    report = celery("report", url=url)
    assert "master_name" in report
    assert "S3CRET" not in report


def celery(*command: str, url: str) -> str:
    """What one of Celery's commands says, on both streams."""
    ran = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers", *command],
        env={**os.environ, "REDIS_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout + ran.stderr


def _pages(url: str, folder: Path) -> Iterator[str]:
    """Flower's pages about workers, tasks and the broker, and what it says itself."""
    command = [sys.executable, "-m", "celery", "-A", "workers", "flower", "--address=127.0.0.1", "--port=0"]
    env = {**os.environ, "REDIS_URL": url, "FLOWER_UNAUTHENTICATED_API": "1"}
    env["FLOWER_INSPECT_TIMEOUT"] = "20000"  # milliseconds
    with Leashed(command, log=folder / "flower.log", env=env, cwd=folder) as flower:
        site = flower.wait_for_line(r"Visit me at (\S+)", WAIT)[1]
        for page in ("/api/workers?refresh=true", "/workers", "/worker/w@test", "/tasks", "/broker"):
            yield urlopen(site + page, timeout=WAIT).read().decode()  # noqa: S310 - Flower's own address
    yield (folder / "flower.log").read_text()


def test_audio_prompt_and_text_are_in_no_log(
    start_worker: StartWorker,
    client: Client,
    celery_app: Celery,
    redis_client: redis.Redis,
    noise: Noise,
    tmp_path: Path,
) -> None:
    """Even at DEBUG, from a stock sender whose message carries the audio itself, or makes no sense at all."""
    inline = base64.b64encode(noise(9).tobytes()).decode()
    start_worker(log_level="debug")
    reference = {"encoding": "pcm_s16le", "samples": 8_000, "base64": inline}
    celery_app.send_task("workers.transcribe", kwargs={"audio": reference}, task_id="inline")
    texts = [client.submit(noise(1), initial_prompt=PROMPT).result(WAIT).text]
    texts.append(client.result("inline", timeout=WAIT).text)
    body = json.dumps([[], {"options": {"initial_prompt": PROMPT}}, {}])
    for wrong in ({"eta": "tomorrow"}, {"task": "no.such.task"}, {"task": None}):
        told = headers(kwargsrepr=PROMPT, **wrong)
        redis_client.lpush(QUEUE, json.dumps(envelope(headers=told, body=body)))
    texts.append(client.submit(noise(2)).result(WAIT).text)
    log = (tmp_path / "w.log").read_text()
    assert "batch 1" in log
    assert log.count("a message was put on the dead list") >= 2
    assert [secret for secret in (PROMPT, inline[:40], *texts) if secret in log] == []


def test_no_repr_shows_audio_prompt_or_text() -> None:
    """Of all that holds some of it, on either side: what a debugger, a traceback or a careless log prints."""
    word = Word(start=0, end=1, word=PROMPT, probability=1)
    segment = Segment(id=0, start=0, end=1, text=PROMPT, tokens=(7_777,), words=(word,))
    options = Options(initial_prompt=PROMPT, prefix=PROMPT, hotwords=PROMPT)
    payload = Payload(encoding=Encoding.PCM, length=800, inline=PROMPT.encode())
    transcript = Transcript(
        request_id="r", text=PROMPT, language="en", language_probability=1, duration=1, segments=(segment,)
    )
    samples = np.full(4, 0.7_777, np.float32)
    holders = [
        *(word, segment, options, payload, transcript),
        Request(request_id="r", payload=payload, options=options),
        Heard(text=PROMPT, language="en", language_probability=1, segments=(segment,)),
        Row(samples=samples, options=options, features=samples, context=PROMPT),
        Progress(tokens=[7_777], segments=[segment]),
        *(Row(text=PROMPT, options=options), Text(PROMPT), Heard(text="", audio=PROMPT.encode())),
        *(replace(transcript, audio=PROMPT.encode()), Fetched(given=PROMPT)),
        Fetched(given=samples, context=Context(text=PROMPT)),
        Claimed(worker_id="w", field="1:2", message=PROMPT.encode()),
        Dead(name="r", died_at=None, reason="-", message=PROMPT.encode()),
        Settlement(results=[Result(key="r", value=PROMPT, ttl=1)]),
        Turn(conversation="c", request_id="r", text=PROMPT),
        Sound(samples=samples, rate=16_000),
        Entry(given_id=1, audio=(samples, 16_000)),
    ]
    shown = [repr(one) for one in holders]
    assert [text for text in shown if "Marker" in text or "7777" in text] == []


def test_an_id_forges_no_line_of_the_log(
    start_worker: StartWorker,
    client: Client,
    celery_app: Celery,
    redis_client: redis.Redis,
    noise: Noise,
    tmp_path: Path,
) -> None:
    """Ends of lines and escape sequences in what others send arrive escaped, if at all."""
    worker = start_worker(log_level="debug")
    wait_until_it_listens(celery_app)
    for forged in ("x\n2026-01-01 CRITICAL forged", "x\r\x1b[2Kforged"):
        for changed in (headers(id=forged), headers(task=forged), headers(eta=forged), headers(lang=forged)):
            redis_client.lpush(QUEUE, json.dumps(envelope(headers=changed)))
        celery_app.control.revoke(forged)  # Celery logs such an id as it comes
    assert client.submit(noise(1), priority="bulk").result(WAIT).text
    worker.wait_for_line(r"revoked: x\\r", WAIT)
    log = (tmp_path / "w.log").read_bytes().decode()
    assert "\x1b" not in log
    assert not [line for line in re.split("[\r\n]", log) if line.startswith(("2026-01-01", "forged"))]


@pytest.mark.parametrize(
    ("size", "fits"), [(MAX_INLINE_BYTES - 2, True), (MAX_INLINE_BYTES, True), (MAX_INLINE_BYTES + 2, False)]
)
def test_inline_audio_is_limited(size: int, fits: bool) -> None:
    """Audio inside a message is taken up to its limit, and refused by the next sample."""
    audio = {"encoding": "pcm_s16le", "samples": size // 2, "base64": base64.b64encode(bytes(size)).decode()}
    assert code_of("x", audio) == ("" if fits else "TOO_LARGE")


@pytest.mark.parametrize(("length", "fits"), [(127, True), (128, True), (129, False)])
def test_ids_are_limited(length: int, fits: bool) -> None:
    """An id has 128 characters at most, in a message as in a submit."""
    audio = {"encoding": "pcm_s16le", "samples": 8_000, "key": "segue:audio:x"}
    assert code_of("x" * length, audio) == ("" if fits else "BAD_REQUEST_ID")


def code_of(request_id: str, audio: dict[str, Any]) -> str:
    """The code by which a message is refused; empty if it is not."""
    try:
        decode_request(request_id, {"audio": audio}, Priority.NORMAL)
    except RequestError as error:
        return error.code
    return ""


def test_no_audio_is_left_of_what_has_ended(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """Done, refused, cancelled or expired: no key of Redis holds the audio any more."""
    cancelled = client.submit(noise(1))
    assert cancelled.cancel()
    tickets = [client.submit(noise(2)), client.submit(noise(3), expires=0.001), cancelled]
    truncated = client.submit(noise(4))
    redis_client.set(f"segue:audio:{truncated.request_id}", noise(4).tobytes()[:-2])
    start_worker()
    ended = [_outcome(ticket) for ticket in [*tickets, truncated]]
    assert ended == ["", "EXPIRED", "CANCELLED", "AUDIO_CORRUPT"]
    client.submit(noise(5), priority="bulk").result(WAIT)  # by then a cancelled one has had its turn
    assert list(redis_client.scan_iter("segue:audio:*")) == []
    for key in redis_client.scan_iter("*"):
        assert not [n for n in range(1, 6) if noise(n).tobytes()[:64] in (redis_client.dump(key) or b"")]


def _outcome(ticket: Ticket) -> str:
    """The code of the error that a request ends with; empty if there is none."""
    try:
        ticket.result(WAIT)
    except TranscriptionError as error:
        return error.code
    return ""
