"""Promise: every audio segment that is submitted comes back as its own transcript, batched on the way."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import redis
from celery import Celery
from celery.result import AsyncResult
from numpy.typing import NDArray

from producer import Client
from protocol.errors import RequestError, ResultTimeout
from protocol.routing import BUSY, ID_KEY_PREFIX, LIMITS, payload_key
from protocol.transcript import Status, Transcript
from tests.integration.conftest import StartWorker
from workers.engine.fake import fingerprint
from workers.transport.memory import MEMORY_KEY

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0


def expected(audio: NDArray[np.int16]) -> str:
    """What the fake engine answers for this audio."""
    return fingerprint(audio.astype(np.float32) / np.float32(32_768))


@pytest.mark.parametrize("transport", ["claim", "redis"])
def test_each_result_belongs_to_its_audio(
    start_worker: StartWorker, client: Client, noise: Noise, transport: str
) -> None:
    """Sixty segments of all priorities come back under their own ids; claimed, most of them in full batches.

    kombu's own transport brings them one by one, as fast as the machine is: batches are what is there.
    """
    audios = [noise(number, 0.1 + number / 50) for number in range(60)]
    priorities = ["urgent", "normal", "bulk"]
    tickets = [
        client.submit(audio, priority=priorities[number % 3], request_id=f"r-{number}")
        for number, audio in enumerate(audios)
    ]
    assert client.queue_depth() == {"urgent": 20, "normal": 20, "bulk": 20}
    start_worker(transport=transport)
    transcripts = [ticket.result(WAIT) for ticket in tickets]
    assert [one.text for one in transcripts] == [expected(audio) for audio in audios]
    assert [one.request_id for one in transcripts] == [f"r-{number}" for number in range(60)]
    sizes = [one.timings.batch_size for one in transcripts if one.timings]
    assert max(sizes) > 1
    if transport == "claim":
        assert np.mean(sizes) > 4
        assert max(sizes) == 8


def test_receipt_tells_the_way(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """Every member of a batch knows the batch, its place, why it closed, when it came, how long all took."""
    start_worker(min_batch_size=4, max_batch_size=4, max_batch_wait_ms=30_000)
    group = client.submit_many([noise(number) for number in range(4)])
    receipts = [one.timings for one in group.results(WAIT) if isinstance(one, Transcript)]
    assert sorted(receipt.batch_position for receipt in receipts if receipt) == [0, 1, 2, 3]
    for receipt in receipts:
        assert receipt is not None
        assert (receipt.batch_id, receipt.batch_size, receipt.batch_reason) == ("w@test/1", 4, "full")
        assert (receipt.worker, receipt.attempts) == ("w@test", 1)
        assert receipt.total >= receipt.queued + receipt.prepared + receipt.engine > 0
        assert receipt.submitted_at == pytest.approx(redis_client.time()[0], abs=2 * WAIT)


def test_notes_come_back(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """With the transcript, a recording's with that of the whole; and they are no part of the content."""
    start_worker()
    notes = {"call": "17", "speaker": "Grüße"}
    client.submit(noise(1), metadata=notes, request_id="noted")
    assert client.submit(noise(1), request_id="noted").result(60).metadata == notes
    assert client.submit_recording(noise(2), split="fixed", metadata=notes).result(60).metadata == notes
    assert client.transcribe(noise(3), timeout=60).metadata is None


def test_urgent_overtakes_what_waits(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """Of a backlog, urgent segments run in the first batches and bulk in the last."""
    for priority in ("bulk", "normal", "urgent"):
        for number in range(8):
            client.submit(noise(number), priority=priority, request_id=f"{priority}-{number}")
    start_worker(fake_fixed_ms=200)
    batch_of = {}
    for priority in ("bulk", "normal", "urgent"):
        for number in range(8):
            receipt = client.result(f"{priority}-{number}", timeout=WAIT).timings
            assert receipt is not None
            batch_of[priority, number] = int(receipt.batch_id.rpartition("/")[2])
    mean = {
        priority: np.mean([batch for (of, _), batch in batch_of.items() if of == priority])
        for priority in ("urgent", "normal", "bulk")
    }
    assert mean["urgent"] < mean["normal"] < mean["bulk"]


def test_window_closes_a_lone_batch(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """A lone segment waits for company until its window has passed, then runs alone."""
    start_worker(max_batch_wait_ms=300)
    receipt = client.submit(noise(1)).result(WAIT).timings
    assert receipt is not None
    assert (receipt.batch_size, receipt.batch_reason) == (1, "window")
    assert receipt.queued >= 0.3


def test_batching_off_runs_one_by_one(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """`enabled: false` gives every request the engine to itself."""
    tickets = [client.submit(noise(number)) for number in range(5)]
    start_worker(batching_enabled="false")
    receipts = [ticket.result(WAIT).timings for ticket in tickets]
    assert {(one.batch_size, one.batch_reason) for one in receipts if one} == {(1, "alone")}


def test_options_that_cannot_mix_run_apart(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """Requests of different beam sizes never share a batch; different languages do."""
    tickets = [
        client.submit(noise(number), beam_size=1 + number % 2, language=["en", "de"][number // 2 % 2])
        for number in range(16)
    ]
    start_worker()
    batches: Counter[tuple[str, int]] = Counter()
    for number, ticket in enumerate(tickets):
        transcript = ticket.result(WAIT)
        assert transcript.timings is not None
        batches[transcript.timings.batch_id, number % 2] += 1
        assert transcript.language == ["en", "de"][number // 2 % 2]
    assert len(batches) == len({batch for batch, _ in batches})
    assert max(batches.values()) > 4


def test_any_process_may_ask(
    start_worker: StartWorker, client: Client, celery_app: Celery, noise: Noise
) -> None:
    """The result is a stock Celery result: `AsyncResult(request_id).get()` works anywhere."""
    start_worker()
    ticket = client.submit(noise(3))
    stock: Any = AsyncResult(ticket.request_id, app=celery_app).get(timeout=WAIT)
    assert stock["text"] == expected(noise(3))
    assert client.get(ticket.request_id).result().text == stock["text"]


def test_stock_celery_can_submit(
    start_worker: StartWorker, client: Client, celery_app: Celery, redis_client: redis.Redis, noise: Noise
) -> None:
    """`send_task` with the documented arguments works, by key and inline; nothing said means urgent."""
    start_worker()
    audio = noise(4)
    redis_client.set(payload_key("by-key"), audio.tobytes(), ex=60)
    reference = {"encoding": "pcm_s16le", "samples": len(audio)}
    by_key = celery_app.send_task(
        "workers.transcribe", kwargs={"audio": {**reference, "key": payload_key("by-key")}}, task_id="by-key"
    )
    inline = celery_app.send_task(
        "workers.transcribe",
        args=[{**reference, "base64": base64.b64encode(audio.tobytes()).decode()}, {"language": "es"}],
        task_id="inline",
        priority=9,
    )
    assert by_key.get(timeout=WAIT)["text"] == expected(audio)
    assert inline.get(timeout=WAIT)["language"] == "es"
    assert client.result("inline").text == expected(audio)


def test_nothing_is_left_behind(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """When all is done Redis holds results and Celery's own bookkeeping, and no audio or message."""
    worker = start_worker()
    for ticket in client.submit_many([noise(number) for number in range(20)]):
        ticket.result(WAIT)
    worker.stop()
    left: list[bytes] = list(redis_client.scan_iter())
    ours = {key for key in left if key.startswith((b"segue", b"unacked"))}
    ids = {key for key in ours if key.startswith(ID_KEY_PREFIX.encode())}
    # Until when the worker would have been busy is kept until then; its mark comes in the first second.
    assert ours - ids - {BUSY.encode(), MEMORY_KEY.encode()} == {LIMITS.encode()}
    assert all(redis_client.ttl(key) > 0 for key in ids)
    # "segue" covers the queue, the audio, the leases and the in-flight records.


def test_status_follows_the_request(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """Unknown, queued, running, completed: each can be told from the others."""
    assert client.status("never-heard-of") is Status.UNKNOWN
    ticket = client.submit(noise(1), priority="urgent")
    assert client.statuses([ticket.request_id]) == [Status.QUEUED]
    with pytest.raises(ResultTimeout, match="queued"):
        ticket.result(timeout=0)
    worker = start_worker(fake_fixed_ms=5_000)
    seen = {ticket.status}
    while not ticket.ready():
        seen.add(ticket.status)
    assert client.statuses([ticket.request_id]) == [Status.COMPLETED]
    assert Status.RUNNING in seen
    worker.stop()


def test_flac_payload_arrives_unchanged(start_worker: StartWorker, client: Client, noise: Noise) -> None:
    """Audio sent as FLAC is the same audio, bit for bit."""
    start_worker()
    ticket = client.submit(noise(5), encoding="flac", priority="urgent")
    assert ticket.result(WAIT).text == expected(noise(5))


BAD_MESSAGES: list[tuple[str, dict[str, Any]]] = [
    ("PAYLOAD_EXPIRED", {"audio": {"key": "segue:audio:gone", "encoding": "pcm_s16le", "samples": 800}}),
    ("PATH_FORBIDDEN", {"audio": {"key": "celery-task-meta-x", "encoding": "flac", "samples": 800}}),
    ("AUDIO_CORRUPT", {"audio": {"base64": "AAAA", "encoding": "pcm_s16le", "samples": 800}}),
    ("AUDIO_CORRUPT", {"audio": {"base64": "AAAA", "encoding": "flac", "samples": 800}}),
    ("AUDIO_EMPTY", {"audio": {"base64": "AAAA", "encoding": "pcm_s16le", "samples": 0}}),
    ("BAD_REQUEST", {"audio": "hello"}),
    ("BAD_REQUEST", {}),
    ("UNSUPPORTED_FORMAT", {"audio": {"base64": "AAAA", "encoding": "opus", "samples": 800}}),
    (
        "BAD_LANGUAGE",
        {"audio": {"base64": "", "encoding": "flac", "samples": 800}, "options": {"language": "xx"}},
    ),
]


def test_somebody_elses_bad_messages_fail_alone(
    start_worker: StartWorker, client: Client, celery_app: Celery, noise: Noise
) -> None:
    """Bad requests that reach the worker get their errors; the others of their batches get their texts."""
    tickets = []
    for number, (_, kwargs) in enumerate(BAD_MESSAGES):
        tickets.append(client.submit(noise(number)))
        celery_app.send_task("workers.transcribe", kwargs=kwargs, task_id=f"bad-{number}", priority=5)
    start_worker()
    for number, (code, _) in enumerate(BAD_MESSAGES):
        with pytest.raises(RequestError) as caught:
            client.get(f"bad-{number}").result(WAIT)
        assert caught.value.code == code
    for number, ticket in enumerate(tickets):
        assert ticket.result(WAIT).text == expected(noise(number))
