"""Promise: a user's own mypy, at its strictest, knows what the clients take and give."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parents[2]

#: What people write.
GOOD = """
import asyncio
from pathlib import Path

import numpy as np

from producer import AsyncClient, Client, RecordingTicket, Ticket
from protocol.errors import TranscriptionError
from protocol.transcript import Timings, Transcript


def one(client: Client, audio: Path) -> str:
    ticket: Ticket = client.submit(audio, priority="urgent", language="en", deadline=30, word_timestamps=True)
    transcript: Transcript = ticket.result(timeout=60)
    words = [word.probability for segment in transcript.segments for word in segment.words or ()]
    return f"{transcript.text} {sum(words)} {transcript.to('srt')}"


def many(client: Client) -> list[float]:
    found: list[float] = []
    for outcome in client.transcribe_batch(
        [b"...", (np.zeros(8_000, np.float32), 8_000), np.zeros(16_000, np.int16)], temperature=[0.0, 0.5]
    ):
        if isinstance(outcome, TranscriptionError):
            print(outcome.code.lower(), outcome.retryable)
        else:
            found.append(outcome.duration)
    return found


def long(client: Client) -> RecordingTicket:
    return client.submit_recording("talk.mp3", split="vad", max_segment_seconds=20)


def told(ticket: RecordingTicket) -> float:
    receipt: Timings | None = ticket.result(60).timings or ticket.timings
    return receipt.total / (receipt.parts or 1) if receipt else 0.0


async def awaited() -> str:
    async with AsyncClient() as client:
        ticket = await client.submit("one.wav", request_id="a")
        async for _, outcome in (await client.submit_many(["one.wav"])).as_completed(60):
            print(outcome)
        return (await ticket).text


asyncio.run(awaited())
"""

#: A line that is wrong each, and what mypy calls it.
WRONG = (
    ("client.submit(7)", "arg-type"),
    ('client.submit("a.wav", language=7)', "arg-type"),
    ('client.submit("a.wav", no_such_option=True)', "call-arg"),
    ('client.submit("a.wav").result(timeout="soon")', "arg-type"),
    ('client.submit("a.wav").txt', "attr-defined"),
    ('client.transcribe("a.wav").text + 1', "operator"),
    ('client.submit_recording("a.wav", split="anywhere")', "arg-type"),
    ('[one.text for one in client.transcribe_batch(["a.wav"])]', "union-attr"),
    ('client.get_recording("a").timings.parts', "union-attr"),
)


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What mypy says of both, in one run: `good.py` and `wrong.py`."""
    folder = tmp_path_factory.mktemp("user")
    good, wrong = folder / "good.py", folder / "wrong.py"
    good.write_text(GOOD)
    lines = ["from producer import Client", "client = Client()", *(line for line, _ in WRONG)]
    wrong.write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPYPATH", str(ROOT))
        options = ["--strict", "--explicit-package-bases", "--config-file=", "--follow-imports=silent"]
        # Where `make lint` has been: NumPy, redis-py and Celery need not be read again.
        said, trouble, _ = api.run([*options, f"--cache-dir={ROOT / '.mypy_cache'}", str(good), str(wrong)])
    assert trouble == ""
    return [line for line in said.splitlines() if ": error: " in line]


def test_typical_code_is_accepted(complaints: list[str]) -> None:
    """Nothing needs a cast or an `ignore`, and both packages say that they are typed (PEP 561)."""
    assert [line for line in complaints if "good.py" in line] == []
    assert all((ROOT / package / "py.typed").is_file() for package in ("producer", "protocol"))


def test_wrong_types_are_refused(complaints: list[str]) -> None:
    """A typing mistake is found before it runs, each on its own line."""
    found = [line for line in complaints if "wrong.py" in line]
    assert [(int(line.split(":")[1]) - 3, line.rsplit("[", 1)[1][:-1]) for line in found] == [
        (number, kind) for number, (_, kind) in enumerate(WRONG)
    ]
