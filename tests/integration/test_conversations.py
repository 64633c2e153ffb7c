"""Promise: the turns of a conversation run in order, one at a time, whatever happens to one of them."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from celery import Celery
from faster_whisper import decode_audio
from numpy.typing import NDArray

from producer import Client, Ticket
from producer.admission import MOST_TURNS
from protocol.errors import Overloaded, RequestError, TranscriptionError
from protocol.options import Options
from protocol.routing import (
    CONVERSATION_KEY_PREFIX,
    CONVERSATION_SECONDS,
    HELD,
    context_key,
    payload_key,
    turn_key,
    waiting_key,
)
from protocol.transcript import Status
from tests.integration.conftest import StartWorker, lives, wait_until_it_listens
from tests.redis_users import as_user
from workers.demo import speech
from workers.engine.base import Heard
from workers.engine.fake import fingerprint
from workers.engine.faster_whisper import FasterWhisperEngine
from workers.transport.dead import DeadOnes

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0

NORMAL = "segue\x06\x165"

#: The fake engine then says what it was given to know of the turns before.
ECHO = "echo the context"


def text_of(audio: NDArray[np.int16]) -> str:
    return fingerprint(audio.astype(np.float32) / np.float32(32_768))


def outcome_of(ticket: Ticket) -> str:
    """The text, or the code of the error."""
    try:
        return ticket.result(WAIT).text
    except TranscriptionError as error:
        return error.code


def waiting_turns(client: redis.Redis, conversation: str) -> list[bytes]:
    """Lanes and ids of the turns that wait, in order."""
    waiting: Any = client.lrange(waiting_key(conversation), 0, -1)
    return [b":".join(one.split(b":")[:2]) for one in reversed(waiting)]


def states(client: redis.Redis) -> set[bytes]:
    """The keys of conversations."""
    return set(client.scan_iter(f"{CONVERSATION_KEY_PREFIX}*", count=1_000))


# What a producer does.


def test_only_one_turn_is_out(client: Client, redis_client: redis.Redis, noise: Noise) -> None:
    """The first turn is on its lane, the others wait in order; other requests and conversations do not."""
    client.submit_many([noise(1), noise(2), noise(3)], request_ids=["a1", "a2", "a3"], conversation="a")
    client.submit(noise(4), request_id="b1", conversation="b", priority="bulk")
    client.submit(noise(5))
    assert client.queue_depth() == {"urgent": 0, "normal": 2, "bulk": 1}
    assert waiting_turns(redis_client, "a") == [b"2:a2", b"2:a3"]
    assert redis_client.mget(turn_key("a"), turn_key("b")) == [b"a1", b"b1"]
    assert redis_client.zcard(HELD) == 5
    assert client.statuses(["a1", "a3"]) == [Status.QUEUED, Status.QUEUED]


def test_the_same_turn_again_is_one_turn(client: Client, redis_client: redis.Redis, noise: Noise) -> None:
    """Sent again it neither waits twice nor runs twice; in another conversation it is another content."""
    for _ in range(3):
        for name in ("one", "two"):
            client.submit(noise(1), request_id=name, conversation="talk")
    assert (redis_client.llen(NORMAL), redis_client.llen(waiting_key("talk"))) == (1, 1)
    for other in ("walk", None):
        with pytest.raises(RequestError) as caught:
            client.submit(noise(1), request_id="two", conversation=other)
        assert caught.value.code == "ID_CONFLICT"


@pytest.mark.parametrize("conversation", ["", "a b", "a:b", "x" * 129, 7, ["a"]])
def test_what_is_no_id_is_refused(client: Client, noise: Noise, conversation: object) -> None:
    """The id of a conversation is made like that of a request, and the message names what was given."""
    with pytest.raises(RequestError, match=re.escape(f"conversation is {conversation!r}"[:60])) as caught:
        client.submit(noise(1), conversation=conversation)  # type: ignore[arg-type]
    assert caught.value.code == "BAD_CONVERSATION"


def test_no_more_turns_wait_than_may(client: Client, redis_client: redis.Redis, noise: Noise) -> None:
    """A conversation of which too many turns wait takes no more, and says how many wait."""
    client.submit(noise(1), conversation="long")
    redis_client.lpush(waiting_key("long"), *["2:x:{}"] * MOST_TURNS)
    with pytest.raises(Overloaded, match=f"{MOST_TURNS} turns of the conversation wait") as caught:
        client.submit(noise(2), conversation="long")
    assert (caught.value.code, redis_client.llen(waiting_key("long"))) == ("CONVERSATION_FULL", MOST_TURNS)


def test_no_turn_goes_ahead_of_one_that_was_refused(
    client: Client, redis_url: str, redis_client: redis.Redis, noise: Noise
) -> None:
    """Of a call, what comes after a turn that found no room finds none, though it is smaller.

    In one parcel and in the next, which begins with the seventh.
    """
    redis_client.hset("segue:limits", mapping={"bytes": 700_000})
    short, long = noise(1, 0.1), noise(2, 30)
    turns = [short, long, short, *[long] * 3, noise(3, 12), short]
    outcomes = client.transcribe_batch(turns, timeout=0, conversation="a")
    assert [getattr(one, "code", "") for one in outcomes] == ["RESULT_TIMEOUT", *["BYTES_FULL"] * 7]
    assert not redis_client.exists(waiting_key("a"))


def test_every_key_has_an_end(redis_url: str, redis_client: redis.Redis, noise: Noise) -> None:
    """What is kept of a conversation is kept for a day since its last turn came, or as long as its audio."""
    for days, kept in ((1, 1), (2, 2), (1, 2)):
        with Client(as_user(redis_url, "producer"), payload_ttl=days * CONVERSATION_SECONDS) as client:
            client.submit_many([noise(1), noise(2)], conversation="talk")
        for key in (turn_key("talk"), waiting_key("talk")):
            assert lives(redis_client, key, kept * CONVERSATION_SECONDS)


# What becomes of it.


@pytest.mark.parametrize("transport", ["claim", "redis"])
def test_no_end_of_a_turn_blocks_the_next(
    start_worker: StartWorker,
    celery_app: Celery,
    client: Client,
    redis_client: redis.Redis,
    noise: Noise,
    transport: str,
) -> None:
    """Failed, refused, cancelled, revoked, expired, without audio, in vain tried again: the next goes on.

    What has no text adds none, and when all have ended nothing is left but the context.
    """
    audios = [noise(seed) for seed in range(10)]
    prompts = {1: "fail", 2: "refuse", 7: "fail 9 times", 8: "fail 1 times", 9: ECHO}
    tickets = [
        client.submit(
            audio,
            request_id=f"t{at}",
            conversation="talk",
            initial_prompt=prompts.get(at),
            expires=0.05 if at == 5 else None,
        )
        for at, audio in enumerate(audios)
    ]
    first: Any = redis_client.rpop(NORMAL)
    assert tickets[3].cancel()
    redis_client.delete(payload_key("t6"))
    start_worker(transport=transport, max_retries=1, retry_delay=0)
    wait_until_it_listens(celery_app)
    assert celery_app.control.revoke("t4", reply=True, timeout=WAIT, limit=1)
    redis_client.rpush(NORMAL, first)  # only now that all is prepared
    said = " ".join(text_of(audios[at]) for at in (0, 8))
    tickets[9].result(WAIT)
    assert [outcome_of(ticket) for ticket in tickets] == [
        text_of(audios[0]),
        "ENGINE_ERROR",
        "BAD_REQUEST",
        "CANCELLED",
        "CANCELLED",
        "EXPIRED",
        "PAYLOAD_EXPIRED",
        "ENGINE_LOST",
        text_of(audios[8]),
        f"{text_of(audios[9])}:{said}",
    ]
    assert states(redis_client) == {context_key("talk").encode()}
    assert 0 < redis_client.ttl(context_key("talk")) <= CONVERSATION_SECONDS
    assert redis_client.zcard(HELD) == 1  # of the audio that was removed by hand


def test_a_turn_that_was_given_up_becomes_the_last(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """It blocks nobody; run again by an operator it waits for its turn as any other."""
    poison = client.submit(noise(1), request_id="poison", conversation="talk", initial_prompt="crash")
    after = client.submit(noise(2), conversation="talk", initial_prompt=ECHO)
    worker = start_worker()
    assert [outcome_of(poison), outcome_of(after)] == ["GAVE_UP", f"{text_of(noise(2))}:"]
    worker.stop()
    client.submit(noise(3), request_id="next", conversation="talk")
    DeadOnes(redis_client).retry("poison")
    assert (redis_client.get(turn_key("talk")), redis_client.llen(NORMAL)) == (b"next", 1)
    assert waiting_turns(redis_client, "talk") == [b"2:poison"]
    redis_client.delete(turn_key("talk"), waiting_key("talk"), NORMAL)


def test_a_turn_that_nobody_has_signed_blocks_nobody(
    start_worker: StartWorker,
    client: Client,
    redis_client: redis.Redis,
    noise: Noise,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its message goes to the dead list, and the next turn to its lane."""
    keys = tmp_path / "keys"
    keys.write_text("ours:" + "5" * 64)
    client.submit(noise(1), conversation="talk")
    monkeypatch.setenv("SEGUE_SIGNING_KEYS_FILE", str(keys))
    signed = client.submit(noise(2), conversation="talk", initial_prompt=ECHO)
    start_worker()
    assert signed.result(WAIT).text == f"{text_of(noise(2))}:"
    assert len(DeadOnes(redis_client).list()) == 1


def test_order_holds_under_load_and_a_killed_worker(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis, noise: Noise
) -> None:
    """Twenty conversations of ten turns on two workers, one killed in the middle, strangers in every batch.

    The last turn of each says what it was given: all the others of its conversation, in order, each once.
    """
    victim = start_worker("victim", max_batch_size=8)
    start_worker("survivor", max_batch_size=8)
    talks: list[list[Ticket]] = [[] for _ in range(20)]
    strangers: list[Ticket] = []
    for turn in range(10):
        for number, talk in enumerate(talks):
            prompt = ECHO if turn == 9 else None
            audio = noise(100 * number + turn, 0.1)
            talk.append(client.submit(audio, conversation=f"talk-{number}", initial_prompt=prompt))
        strangers += client.submit_many([noise(9_000 + 10 * turn + at, 0.1) for at in range(10)]).tickets
    talks[0][2].result(WAIT)
    os.kill(victim.pid, signal.SIGKILL)
    for number, talk in enumerate(talks):
        transcripts = [ticket.result(WAIT) for ticket in talk]
        said = [text_of(noise(100 * number + turn, 0.1)) for turn in range(10)]
        assert [one.text for one in transcripts] == [*said[:-1], f"{said[-1]}:{' '.join(said[:-1])}"]
        assert [one.turns_before for one in transcripts] == list(range(10))
    assert len({ticket.result(WAIT).text for ticket in strangers}) == len(strangers)
    assert states(redis_client) == {context_key(f"talk-{number}").encode() for number in range(20)}
    victim.stop()


def test_the_real_engine_hears_what_was_said(
    start_worker: StartWorker, client: Client, redis_client: redis.Redis
) -> None:
    """With the demo model a turn's text is what the engine gives for that audio after that context."""
    clips = [clip for clip in speech() if clip.language == "en"][:3]
    start_worker(engine="faster-whisper", model="demo", device="cpu", compute_type="float32", cpu_threads=1)
    group = client.submit_many([clip.path for clip in clips], conversation="talk", language="en")
    transcripts = group.results(timeout=WAIT)
    engine = FasterWhisperEngine("demo", device="cpu", compute_type="float32", cpu_threads=1)
    engine.load()
    context = ""
    for clip, transcript in zip(clips, transcripts, strict=True):
        row = engine.prepare(decode_audio(str(clip.path)), Options(language="en"))
        (heard,) = engine.run([replace(row, context=context)])
        assert isinstance(heard, Heard)
        assert transcript.text == heard.text
        context = f"{context} {heard.text}".strip()
    assert [one.turns_before for one in transcripts] == [0, 1, 2]
    stored = redis_client.hgetall(context_key("talk"))
    assert stored == {b"text": f" {context}".encode(), b"turns": b"3"}
