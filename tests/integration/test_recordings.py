"""Promise: long sound becomes one transcript, in order, with times that are those of the recording."""

from __future__ import annotations

import asyncio
import json
import os
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import srt  # type: ignore[import-untyped]
from faster_whisper import decode_audio
from numpy.typing import NDArray
from typer.testing import CliRunner

from cli.demo.servers import worker_for_demo
from cli.main import app
from producer import AsyncClient, Client
from protocol.transcript import Segment, Transcript
from workers.demo import Clip, speech

#: How long anything here may take, in seconds: other people's load must not fail a test.
TIMEOUT = 90.0

#: What Whisper's times are multiples of, in seconds: nobody can ask more of it.
RESOLUTION = 0.02


@dataclass(frozen=True, kw_only=True)
class Known:
    """A recording of which is known what is said when."""

    samples: NDArray[np.int16]
    clips: list[Clip]
    places: list[tuple[float, float]]
    """Start and end of each clip, in seconds."""


@pytest.fixture(scope="module")
def known() -> Known:
    """Fifteen sentences with 2.2 to 3.5 s of a quiet room's noise between them."""
    rng = np.random.default_rng(6)
    clips = [clip for clip in speech() if clip.language == "en"][:15]
    parts: list[NDArray[np.int16]] = []
    places = []
    at = 0
    for clip in clips:
        pause = rng.normal(0, 4, round(rng.uniform(2.2, 3.5) * 16_000)).astype(np.int16)
        said = np.round(decode_audio(str(clip.path)) * 32_768).astype(np.int16)
        parts += [pause, said]
        places.append(((at + len(pause)) / 16_000, (at + len(pause) + len(said)) / 16_000))
        at += len(pause) + len(said)
    return Known(samples=np.concatenate(parts), clips=clips, places=places)


@pytest.fixture(scope="module")
def worker(new_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A worker with the demo model; gives the address of its Redis."""
    folder = tmp_path_factory.mktemp("worker")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    with worker_for_demo("recordings", folder, {**environ, "REDIS_URL": new_redis}):
        yield new_redis


@pytest.fixture(scope="module")
def client(worker: str) -> Iterator[Client]:
    with Client(worker) as made:
        yield made


@pytest.fixture(scope="module")
def transcript(client: Client, known: Known) -> Transcript:
    """What comes of the known recording, cut by loudness."""
    ticket = client.submit_recording(known.samples, request_id="known", split="energy", language="en")
    return ticket.result(TIMEOUT)


@pytest.fixture
def long_wav(known: Known, tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(known.samples.tobytes())
    return path


def right(segments: tuple[Segment, ...], clips: list[Clip]) -> int:
    """How many of the texts are exactly what was said, in order."""
    return sum(one.text.strip() == clip.text for one, clip in zip(segments, clips, strict=True))


def test_every_sentence_comes_once_and_in_order(transcript: Transcript, known: Known) -> None:
    """A segment for each; the demo model is not right about every one, even alone."""
    assert [one.id for one in transcript.segments] == list(range(1, len(known.clips) + 1))
    assert right(transcript.segments, known.clips) >= len(known.clips) - 2
    assert transcript.warnings == ()
    assert transcript.duration == len(known.samples) / 16_000


def test_times_are_exact(client: Client, transcript: Transcript, known: Known) -> None:
    """Each part transcribed alone, moved by hand to where it was cut, has the same times to the sample."""
    ticket = client.get_recording("known")
    ticket.result(TIMEOUT)
    for segment, part, place in zip(transcript.segments, ticket.parts, known.places, strict=True):
        cut = known.samples[part.offset : part.offset + part.n_samples]
        (alone,) = client.transcribe(cut, language="en", timeout=TIMEOUT).segments
        begins = alone.start or part.lead / 16_000
        assert segment.start == pytest.approx(part.start + begins, abs=1e-6)
        assert segment.end == pytest.approx(part.start + alone.end, abs=1e-6)
        assert abs(segment.start - place[0]) <= RESOLUTION


def test_the_receipt_is_made_of_those_of_the_parts(client: Client, transcript: Transcript) -> None:
    """Counted batch by batch, from the first submit to the last end; the ticket has it without the text."""
    ticket = client.get_recording("known")
    assert ticket.timings is None
    ticket.result(TIMEOUT)
    of_parts = [timings for part in ticket.parts if (timings := client.get(part.request_id).timings)]
    whole = transcript.timings
    assert whole is not None
    assert whole == ticket.timings
    assert (whole.parts, whole.workers) == (len(ticket.parts), 1)
    assert whole.batches == len({one.batch_id for one in of_parts})
    engine = {one.batch_id: one.engine for one in of_parts}
    assert whole.engine == pytest.approx(sum(engine.values()))
    assert whole.queued == of_parts[0].queued
    ends = [one.submitted_at + one.total for one in of_parts if one.submitted_at is not None]
    assert len(ends) == len(of_parts)
    assert whole.total == pytest.approx(max(ends) - (of_parts[0].submitted_at or 0), abs=1e-3)
    assert whole.worker == of_parts[0].worker


def test_any_process_can_collect_it(worker: str, transcript: Transcript) -> None:
    """Another client, who has nothing but the id, gets the same."""
    with Client(worker) as other:
        ticket = other.get_recording("known")
        assert ticket.status == "completed"
        assert ticket.result(TIMEOUT) == transcript


def test_begun_again_nothing_is_transcribed_again(
    client: Client, transcript: Transcript, known: Known
) -> None:
    """The same id, sound and options find the results of before: their receipts are the same."""
    before = client.result("known-0003").timings
    ticket = client.submit_recording(known.samples, request_id="known", split="energy", language="en")
    assert ticket.result(TIMEOUT) == transcript
    assert client.result("known-0003").timings == before


def test_segments_come_while_the_rest_is_on_its_way(client: Client, known: Known) -> None:
    """The first is there before the recording has been read, and all of them are in the end."""
    ticket = client.submit_recording(known.samples, split="energy", language="en", max_in_flight=2)
    segments = ticket.segments(TIMEOUT)
    first = next(segments)
    assert not ticket.progress.is_read
    assert [first.id, *(one.id for one in segments)] == list(range(1, len(known.clips) + 1))
    assert ticket.progress.is_read


def test_a_queue_that_is_full_now_and_then_only_takes_longer(worker: str, known: Known) -> None:
    """`Overloaded` in the middle of a recording is waited out."""
    with Client(worker, max_queued=1) as narrow:
        found = narrow.submit_recording(known.samples, split="energy", language="en").result(TIMEOUT)
    assert (len(found.segments), found.warnings) == (len(known.clips), ())


def test_the_silero_detector_hears_the_same_sentences(
    client: Client, known: Known, transcript: Transcript
) -> None:
    """Where it is installed it is the default."""
    found = client.submit_recording(known.samples, language="en").result(TIMEOUT)
    assert found.warnings == ()
    starts = [one.start for one in found.segments]
    assert starts == pytest.approx([one.start for one in transcript.segments], abs=0.1)


def test_a_recording_without_speech_is_empty(client: Client) -> None:
    """No part, no text, and no error; how long it was is known."""
    found = client.submit_recording(np.zeros(16_000 * 60, np.int16), language="en").result(TIMEOUT)
    assert (found.text, found.segments, found.no_speech) == ("", (), True)
    assert (found.duration, found.language) == (60.0, "en")
    assert found.timings is not None
    assert (found.timings.parts, found.timings.total) == (0, 0.0)


def test_coroutines_get_the_same(worker: str, known: Known, transcript: Transcript) -> None:
    """Awaited as a whole, and segment by segment."""

    async def main() -> tuple[Transcript, list[Segment]]:
        async with AsyncClient(worker) as client:
            begun = await client.submit_recording(known.samples, split="energy", language="en")
            assert begun.timings is None
            segments = [segment async for segment in begun.segments(TIMEOUT)]
            assert begun.timings == (await begun).timings
            assert begun.timings is not None
            assert begun.timings.parts == len(begun.parts)
            return await client.get_recording("known"), segments

    whole, segments = asyncio.run(main())
    assert whole == transcript
    assert [(one.start, one.text) for one in segments] == [
        (one.start, one.text) for one in transcript.segments
    ]


def test_the_command_line_submits_now_and_collects_later(
    worker: str, long_wav: Path, transcript: Transcript
) -> None:
    """What was cut as it was through the client is the same transcript, and nothing of it is missing."""
    asked = CliRunner().invoke(
        app,
        [
            "submit",
            str(long_wav),
            "--language",
            "en",
            "--split",
            "energy",
            "--timeout",
            "90",
            "--redis-url",
            worker,
        ],
    )
    assert (asked.exit_code, asked.stderr) == (0, "")
    request_id = asked.stdout.strip()
    got = CliRunner().invoke(app, ["result", request_id, "--json", "--timeout", "90", "--redis-url", worker])
    assert (got.exit_code, got.stderr) == (0, "")
    line = json.loads(got.stdout)
    assert (line["text"], line["failures"]) == (transcript.text, [])
    assert transcript.timings is not None
    assert line["timings"]["parts"] == transcript.timings.parts


def test_the_command_line_takes_long_files_as_any(worker: str, long_wav: Path, known: Known) -> None:
    """Subtitles of the whole, at the times at which it is said."""
    given = ["transcribe", str(long_wav), "--language", "en", "--timeout", "90", "--redis-url", worker]
    asked = CliRunner().invoke(app, [*given, "-f", "srt", "--max-segment-seconds", "8"])
    assert (asked.exit_code, asked.stderr) == (0, "")
    shown = list(srt.parse(asked.stdout))
    starts = sorted({one.start.total_seconds() for one in shown})
    for start, _ in known.places:
        assert min(abs(start - one) for one in starts) <= 0.1
    as_json = CliRunner().invoke(app, [*given, "--json"])
    assert (as_json.exit_code, as_json.stderr) == (0, "")
    assert json.loads(as_json.stdout)["duration"] == len(known.samples) / 16_000
