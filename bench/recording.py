"""A long recording of known sentences at known places, transcribed while other clients are busy."""

from __future__ import annotations

import os
import resource
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from bench.clips import LANGUAGE, SAMPLE_RATE, Spoken, chosen_clips
from cli.demo.servers import worker_for_demo
from producer import Client, RecordingTicket
from producer.reading import Split
from protocol.transcript import Segment, Transcript

#: Pauses between sentences, in seconds: above what always ends an audio segment, since the demo model
#: knows single sentences only.
PAUSES = 2.2, 4.0

#: Noise of a quiet room, as the standard deviation of 16-bit samples: −78 dB of full scale.
ROOM = 4.0

#: Parts that are transcribed again, alone, to compare their times.
COMPARED = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One sentence of the recording."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of it. All lengths of time in seconds."""

    recording_seconds: float
    wall_seconds: float
    sentences: int
    segments: int
    parts: int
    failures: int
    texts_exact: int
    start_error_median: float
    """How far segments begin from where the sentences do."""
    start_error_max: float
    end_error_median: float
    beyond_engine_max: float
    """How far the times of a part are from those of the same sound transcribed alone, moved to its place."""
    memory_mb: float
    """By how much this process grew at its largest, in megabytes: reading, cutting, putting together."""
    others: int
    """Requests of other clients that were served meanwhile."""


def measure(redis_url: str, folder: Path, *, seconds: float, clients: int, split: Split) -> Found:
    """Make the recording in `folder`, start a worker, and transcribe it beside `clients` busy ones."""
    clips = chosen_clips(60)
    path = folder / "recording.wav"
    places = _write(path, clips, seconds)
    environ = {**os.environ, "REDIS_URL": redis_url}
    with worker_for_demo("recording", folder, environ), Client(redis_url) as client:
        client.transcribe(clips[0].samples, language=LANGUAGE)
        with _busy(redis_url, clips, clients) as served:
            before, began = _largest(), time.perf_counter()
            ticket = client.submit_recording(path, split=split, language=LANGUAGE)
            transcript = ticket.result()
            wall = time.perf_counter() - began
            grown = _largest() - before
        beyond = _beyond_engine(client, path, ticket, transcript)
    return _found(transcript, ticket, places, wall=wall, grown=grown, beyond=beyond, others=sum(served))


def _write(path: Path, clips: list[Spoken], seconds: float) -> list[Place]:
    """A WAV of at least so many seconds, written sentence by sentence, and what is said where."""
    rng = np.random.default_rng(1)
    places: list[Place] = []
    at = 0
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        while at < seconds * SAMPLE_RATE:
            clip = clips[len(places) % len(clips)]
            pause = rng.normal(0, ROOM, round(rng.uniform(*PAUSES) * SAMPLE_RATE)).astype("<i2")
            file.writeframes(pause.tobytes() + np.round(clip.samples * 32_768).astype("<i2").tobytes())
            start = at + len(pause)
            at = start + len(clip.samples)
            places.append(Place(text=clip.text, start=start / SAMPLE_RATE, end=at / SAMPLE_RATE))
    return places


@contextmanager
def _busy(redis_url: str, clips: list[Spoken], clients: int) -> Iterator[list[int]]:
    """Clients that have eight requests each under way all the time; how many each has had served."""
    served = [0] * clients
    stop = threading.Event()

    def work(number: int) -> None:
        with Client(redis_url) as client:
            while not stop.is_set():
                client.transcribe_batch([clip.samples for clip in clips[:8]], language=LANGUAGE)
                served[number] += 8

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield served
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _beyond_engine(client: Client, path: Path, ticket: RecordingTicket, transcript: Transcript) -> float:
    """The largest difference between merged times and those of the same sound alone, over some parts."""
    step = max(1, len(ticket.parts) // COMPARED)
    worst = 0.0
    for part in ticket.parts[::step]:
        heard = client.transcribe(_cut(path, part.offset, part.n_samples), language=LANGUAGE)
        merged = [one for one in transcript.segments if part.start <= one.start < part.end]
        for alone, one in zip(heard.segments, merged, strict=False):
            begins = alone.start or part.lead / SAMPLE_RATE
            worst = max(worst, abs(one.start - part.start - begins), abs(one.end - part.start - alone.end))
    return worst


def _cut(path: Path, offset: int, n_samples: int) -> NDArray[np.int16]:
    with wave.open(str(path), "rb") as file:
        file.setpos(offset)
        return np.frombuffer(file.readframes(n_samples), "<i2")


def _found(
    transcript: Transcript,
    ticket: RecordingTicket,
    places: list[Place],
    *,
    wall: float,
    grown: float,
    beyond: float,
    others: int,
) -> Found:
    pairs = [(place, _nearest(transcript.segments, place)) for place in places]
    starts = [abs(segment.start - place.start) for place, segment in pairs]
    return Found(
        recording_seconds=transcript.duration,
        wall_seconds=wall,
        sentences=len(places),
        segments=len(transcript.segments),
        parts=len(ticket.parts),
        failures=len(ticket.failures),
        texts_exact=sum(segment.text.strip() == place.text for place, segment in pairs),
        start_error_median=median(starts),
        start_error_max=max(starts),
        end_error_median=median(abs(segment.end - place.end) for place, segment in pairs),
        beyond_engine_max=beyond,
        memory_mb=grown,
        others=others,
    )


def _nearest(segments: tuple[Segment, ...], place: Place) -> Segment:
    return min(segments, key=lambda segment: abs(segment.start - place.start))


def _largest() -> float:
    """The most memory that this process has had, in megabytes. Linux counts it in kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
