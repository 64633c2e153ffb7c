"""Promise: what was said before in a conversation is the prompt of its next turn, by every way in."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from producer import AsyncClient, Client
from protocol.routing import context_key
from tests.integration.servers import worker_on
from tests.redis_users import as_user
from workers.engine.fake import fingerprint

Noise = Callable[..., NDArray[np.int16]]

WAIT = 60.0

#: The fake engine then says what it was given to know of the turns before.
ECHO = "echo the context"


@pytest.fixture(scope="module")
def url(new_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where clients find a worker of the fake engine."""
    with worker_on(new_redis, tmp_path_factory.mktemp("worker")):
        yield as_user(new_redis, "producer")


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    """The real client, with a worker behind it."""
    with Client(url) as made:
        yield made


def text_of(audio: NDArray[np.int16]) -> str:
    return fingerprint(audio.astype(np.float32) / np.float32(32_768))


def echoes(audios: list[NDArray[np.int16]]) -> list[str]:
    """What the fake engine says of turns, each with what all before it have said."""
    texts: list[str] = []
    for audio in audios:
        texts.append(f"{text_of(audio)}:{' '.join(texts)}")
    return texts


def write_wav(path: Path, audio: NDArray[np.int16]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(audio.tobytes())
    return path


def test_context_reaches_the_prompt(client: Client, noise: Noise) -> None:
    """Each turn is given what all before it have said, and says how many those were; nobody else is."""
    audios = [noise(seed) for seed in range(4)]
    tickets = [client.submit(audio, conversation="talk", initial_prompt=ECHO) for audio in audios]
    alone = client.submit(noise(9), initial_prompt=ECHO)
    transcripts = [ticket.result(WAIT) for ticket in tickets]
    assert [one.text for one in transcripts] == echoes(audios)
    assert [one.turns_before for one in transcripts] == [0, 1, 2, 3]
    assert alone.result(WAIT).text == f"{text_of(noise(9))}:"


def test_junk_in_place_of_the_context_is_none(client: Client, new_redis: str, noise: Noise) -> None:
    """What somebody else put there is said to nobody, and holds no batch up."""
    with redis.Redis.from_url(as_user(new_redis, "admin")) as admin:
        admin.set(context_key("spoiled"), "junk")
        admin.hset(context_key("odd"), mapping={"text": "before", "turns": "many"})
    spoiled = client.submit(noise(1), conversation="spoiled", initial_prompt=ECHO)
    odd = client.submit(noise(2), conversation="odd", initial_prompt=ECHO)
    assert spoiled.result(WAIT).text == f"{text_of(noise(1))}:"
    assert odd.result(WAIT).text == f"{text_of(noise(2))}:before"
    assert odd.result(WAIT).turns_before == 0


def test_options_say_what_is_heard_of(client: Client, noise: Noise) -> None:
    """A turn may want no context; one that needed a high temperature leaves none, and ends what there was."""
    audios = [noise(seed) for seed in range(5)]
    first, second, third, fourth, fifth = (text_of(audio) for audio in audios)
    given = [
        {},
        {"condition_on_previous_text": False, "initial_prompt": ECHO},
        {"initial_prompt": ECHO},
        {"initial_prompt": "again 3 times"},
        {"initial_prompt": ECHO},
    ]
    tickets = [
        client.submit(audio, conversation="options", **more)  # type: ignore[arg-type]
        for audio, more in zip(audios, given, strict=True)
    ]
    assert [ticket.result(WAIT).text for ticket in tickets] == [
        first,
        f"{second}:",
        f"{third}:{first} {second}:",
        fourth,
        f"{fifth}:",
    ]


def test_coroutines_and_recordings_take_turns(url: str, noise: Noise) -> None:
    """`AsyncClient` has conversations as well; the parts of a recording are turns, one after the other."""
    audio = noise(1, 3)

    async def talk() -> tuple[list[str], list[str]]:
        async with AsyncClient(url) as client:
            group = await client.submit_many(
                [noise(2), noise(3)], conversation="coroutines", initial_prompt=ECHO
            )
            recording = await client.submit_recording(
                audio, split="fixed", max_segment_seconds=1, conversation="tape", initial_prompt=ECHO
            )
            texts = [(await ticket.result(WAIT)).text for ticket in group.tickets]
            transcript = await recording.result(WAIT)
            return texts, [segment.text for segment in transcript.segments]

    texts, parts = asyncio.run(talk())
    assert texts == echoes([noise(2), noise(3)])
    heard = [part.partition(":") for part in parts]
    assert len(parts) >= 3
    assert [context for *_, context in heard] == [" ".join(parts[:at]) for at in range(len(parts))]


def test_files_of_a_command_are_turns(url: str, noise: Noise, tmp_path: Path) -> None:
    """`segue transcribe --conversation` hears its files one after the other; a bad id is wrong usage."""
    files = [str(write_wav(tmp_path / f"{number}.wav", noise(number))) for number in range(3)]

    def run(conversation: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli.main", "transcribe", *files, "--initial-prompt", ECHO]
        return subprocess.run(
            [*command, "--conversation", conversation],
            env={**os.environ, "REDIS_URL": url},
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )

    assert run("files").stdout.splitlines() == echoes([noise(number) for number in range(3)])
    refused = run("a b")
    assert (refused.returncode, "conversation is 'a b'" in refused.stderr) == (2, True)
