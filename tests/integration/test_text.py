"""Promise: text is queued, batched and answered as audio is, by models that take it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import redis
from celery import Celery
from numpy.typing import NDArray

from producer import AsyncClient, Client, Text
from producer.results import Outcome
from protocol.errors import RequestError
from protocol.routing import payload_key
from protocol.transcript import Transcript
from tests.documents import ROOT, blocks
from tests.integration.conftest import StartWorker, lives
from tests.integration.terminal import terminal
from tests.integration.test_docs_examples import of_a_reader, run_page

PAGE = ROOT / "docs/how-to/text.md"


def printed(text: str) -> str:
    """What the fake engine answers to it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_what_the_page_shows_works(new_redis: str, tmp_path: Path) -> None:
    """docs/how-to/text.md from top to bottom: a voice beside a model that hears, in one worker."""
    text = PAGE.read_text("utf-8")
    there = blocks(text)
    (tmp_path / "morse.py").write_text(next(block.code for block in there if block.language == "python"))
    (tmp_path / "models.yaml").write_text(next(block.code for block in there if block.language == "yaml"))
    with terminal("text.md", of_a_reader(new_redis), tmp_path) as opened:
        run_page("docs/how-to/text.md", text, opened)


def test_a_voice_is_heard_and_refuses_audio(
    start_worker: StartWorker,
    client: Client,
    redis_client: redis.Redis,
    tmp_path: Path,
    noise: Callable[..., NDArray[np.int16]],
) -> None:
    """One batch of texts and audio: each text has its own sound, and the audio an error that says why."""
    code = next(block.code for block in blocks(PAGE.read_text("utf-8")) if block.language == "python")
    (tmp_path / "morse.py").write_text(code)
    start_worker(engine="morse:Morse", model="slow", min_batch_size=4, max_batch_wait_ms=5_000)
    given: list[Text | NDArray[np.int16]] = [Text("e"), noise(1), Text("t"), Text("paris paris")]
    dot, audio, dash, long = client.transcribe_batch(given, timeout=60)
    assert isinstance(audio, RequestError)
    assert audio.args == ("model 'slow' takes text, this is audio", "UNSUPPORTED_INPUT")
    heard = [_seconds(one) for one in (dot, dash, long)]
    assert heard == [0.24, 0.36, 5.76]
    assert isinstance(dot, Transcript)
    assert (dot.text, dot.duration, dot.model) == ("e", 0.0, "slow")
    assert dot.timings is not None
    assert dot.timings.batch_size == 4
    assert not redis_client.keys("segue:audio:*")


def test_text_goes_every_way_that_audio_goes(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis
) -> None:
    """Ids, conversations and tenants; what waits is kept as long as audio, and gone when it is answered."""
    ticket = client.submit(Text("Grüße"), request_id="a", conversation="c", tenant="t", metadata={"n": "1"})
    assert client.submit(Text("Grüße"), request_id="a", conversation="c").request_id == "a"
    with pytest.raises(RequestError, match="stands for other"):
        client.submit(Text("Gruß"), request_id="a", conversation="c")
    assert redis_client.get(payload_key("a")) == "Grüße".encode()
    assert lives(redis_client, payload_key("a"), 86_400)
    start_worker()
    transcript = ticket.result(timeout=60)
    assert (transcript.text, transcript.metadata) == (printed("Grüße"), {"n": "1"})
    assert not redis_client.exists(payload_key("a"))


def test_text_is_awaited_as_audio_is(start_worker: StartWorker, redis_url: str) -> None:
    """The same names, the same answers; what is no text has its error in its place."""

    async def main() -> list[Outcome]:
        async with AsyncClient(redis_url) as client:
            first = await client.transcribe(Text("one"), timeout=60)
            return [first, *await client.transcribe_batch([Text("1"), Text(" "), Text("2")], timeout=60)]

    start_worker()
    answers = asyncio.run(main())
    said = [one.text if isinstance(one, Transcript) else one.code for one in answers]
    assert said == [printed("one"), printed("1"), "TEXT_EMPTY", printed("2")]


def test_stock_celery_sends_text(start_worker: StartWorker, celery_app: Celery) -> None:
    """Inside the message, as docs/messages.md has it."""
    start_worker()
    audio = {"encoding": "utf-8", "characters": 6, "base64": "c2VjcmV0"}
    sent = celery_app.send_task("workers.transcribe", kwargs={"audio": audio})
    assert sent.get(timeout=60)["text"] == printed("secret")


def test_much_audio_comes_back_whole(start_speaker: StartWorker, client: Client) -> None:
    """Of a batch of eight times 4 MB in JSON, each its own."""
    start_speaker(model="louder", min_batch_size=8, max_batch_wait_ms=5_000)
    group = client.submit_many([Text(f"{nth:03d}") for nth in range(8)])
    for nth, outcome in enumerate(group.results(60)):
        assert isinstance(outcome, Transcript)
        assert outcome.audio == f"{nth:03d}".encode() * 1_000_000
        assert outcome.timings is not None
        assert outcome.timings.batch_size == 8


def _seconds(outcome: object) -> float:
    assert isinstance(outcome, Transcript)
    assert outcome.audio is not None
    with wave.open(io.BytesIO(outcome.audio)) as file:
        return float(file.getnframes() / file.getframerate())
