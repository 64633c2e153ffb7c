"""Rule: sound of any length and kind is read in pieces, and its transcript is put together in order."""

from __future__ import annotations

import gc
import io
import itertools
import json
import os
import struct
import tracemalloc
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from producer.assembly import Assembly, Part
from producer.audio import read_audio
from producer.course import Course
from producer.exchange import Exchange
from producer.feed import LATE
from producer.given import GivenTerms
from producer.long_audio import read_pieces
from producer.manifest import check_recording_id
from producer.patience import Patience
from producer.reading import Plan, Reading
from producer.steps import Cancel, Enqueue, Pause, Read, Steps
from protocol.errors import (
    Cancelled,
    DeadlineExceeded,
    EngineError,
    Overloaded,
    QueueUnreachable,
    RequestError,
    ResultTimeout,
    TranscriptionError,
)
from protocol.formats import FORMATS, OutputFormat
from protocol.transcript import Segment, Timings, Transcript, Word
from protocol.wire import decode_transcript, encode_timings
from tests.producer.conftest import Encode

Samples = NDArray[np.int16]

#: 9 s of tone in bursts of a second, and a second of silence after each.
BURSTS = np.tile(
    np.concatenate([8_000 * np.sin(np.arange(16_000) * 2 * np.pi * 440 / 16_000), np.zeros(16_000)]).astype(
        np.int16
    ),
    5,
)[:144_000]


def read(audio: Any, warnings: list[str] | None = None, *, sample_rate: int | None = None) -> Samples:
    """All of a recording at once."""
    said: list[str] = [] if warnings is None else warnings
    return np.concatenate(list(read_pieces(audio, sample_rate=sample_rate, warn=said.append)))


def loudness(samples: Samples) -> NDArray[np.float64]:
    """The power of each tenth of a second."""
    tenths = samples[: len(samples) // 1_600 * 1_600].reshape(-1, 1_600).astype(np.float64)
    return np.asarray(np.square(tenths).mean(axis=1))


@pytest.mark.parametrize(
    "kind",
    ["wav", "float", "mulaw", "flac", "mp3", "mp3 at 44.1 kHz", "m4a", "alac", "opus", "vorbis", "webm"],
)
def test_a_recording_sounds_as_an_audio_segment_does(encode: Encode, kind: str) -> None:
    """Read in pieces, every kind of file gives what it gives when it is read as a whole."""
    file = encode(kind, BURSTS)
    pieces, whole = read(file), read_audio(file).samples
    assert abs(len(pieces) - len(whole)) <= 2
    shared = min(len(pieces), len(whole))
    assert np.abs(pieces[:shared].astype(int) - whole[:shared]).max() <= 1


@pytest.mark.parametrize(
    "array",
    [BURSTS, BURSTS.astype(np.float32) / 32_768, np.stack([BURSTS, BURSTS]), np.tile(BURSTS, 20)[:, None]],
    ids=["int16", "float32", "stereo", "3 min"],
)
def test_an_array_of_any_length_is_a_recording(array: NDArray[Any]) -> None:
    """As for an audio segment, but for the limit of 30 s."""
    np.testing.assert_array_equal(read(array), np.tile(BURSTS, 20 if len(array) == 20 * len(BURSTS) else 1))


def test_another_rate_makes_no_seams() -> None:
    """Resampled a second at a time or all at once: the same."""
    rng = np.random.default_rng(1)
    sound = rng.normal(0, 0.1, 44_100 * 5)
    pieces, whole = read((sound, 44_100)), read_audio((sound, 44_100)).samples
    assert len(pieces) == len(whole)
    assert np.abs(pieces.astype(int) - whole).max() <= 1


def test_what_cannot_go_back_is_read_too(encode: Encode) -> None:
    """A pipe, and a file that somebody has begun to read."""
    file = encode("m4a", BURSTS)
    begun = io.BytesIO(b"before" + file)
    begun.seek(6)
    reader, writer = os.pipe()
    with open(writer, "wb") as into:
        into.write(file[:60_000])
    with open(reader, "rb") as pipe:
        assert len(file) < 60_000
        np.testing.assert_array_equal(read(pipe), read(begun))


@pytest.mark.parametrize(
    ("audio", "code"),
    [
        (b"", "AUDIO_EMPTY"),
        (b"not a sound", "UNSUPPORTED_FORMAT"),
        ("/nowhere/at.all", "FILE_NOT_FOUND"),
        (os.curdir, "PATH_FORBIDDEN"),
        (io.StringIO("text"), "BAD_REQUEST"),
        (7, "BAD_REQUEST"),
        ((np.zeros(9), 0), "BAD_SAMPLE_RATE"),
        (np.array(7.0), "BAD_ARRAY"),
        (np.zeros((3, 3, 3)), "BAD_ARRAY"),
        (np.full(99_999, np.nan), "NON_FINITE_SAMPLES"),
        (b"RIFF\0\0\0\0WAVEfmt ", "AUDIO_CORRUPT"),
        (b"\0\0\0\x08ftyp" + struct.pack(">I4s", 60, b"moov") + b"stsd" + bytes(12) + b"enca" + bytes(40),
         "UNSUPPORTED_FORMAT"),
    ],
)  # fmt: skip
def test_what_is_no_recording_is_refused(audio: Any, code: str) -> None:
    """With the code that an audio segment has for it."""
    with pytest.raises(RequestError) as caught:
        read(audio)
    assert caught.value.code == code


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "opus", "webm"])
def test_a_file_that_was_cut_short_gives_what_is_there(encode: Encode, kind: str) -> None:
    """A recorder that lost its power has written everything before."""
    file = encode(kind, BURSTS)
    found = read(file[: len(file) // 2])
    whole = read(file)
    assert 0.3 * len(whole) < len(found) < 0.7 * len(whole)


def test_a_wav_file_says_what_it_lacks(encode: Encode) -> None:
    """Half a sample at the end is none."""
    warnings: list[str] = []
    found = read(encode("wav", BURSTS)[:-1_001], warnings)
    np.testing.assert_array_equal(found, BURSTS[:-501])
    assert warnings == ["the WAV file has 286999 of the 288000 bytes of data it claims"]


def test_damage_in_the_middle_moves_nothing_after_it(encode: Encode) -> None:
    """What cannot be decoded is silence as long as it was, and a warning says how much."""
    file = bytearray(encode("flac", BURSTS))
    file[len(file) // 2 : len(file) // 2 + 4_000] = os.urandom(4_000)
    warnings: list[str] = []
    found = read(bytes(file), warnings)
    assert len(found) == len(BURSTS)
    same = loudness(found) == loudness(BURSTS)
    assert not same.all()
    assert same[:20].all()
    assert same[-20:].all()
    assert any("missing from the file" in warning for warning in warnings)


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """Ten minutes, 19 MB: the head of the file, a few seconds and the longest part are held, no more."""
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        for _ in range(67):
            file.writeframes(BURSTS.tobytes())
    tracemalloc.start()
    reading = Reading(path, plan=Plan(split="energy", max_segment_seconds=10))
    count = sum(1 for _ in drained(reading))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count >= 60
    assert peak < 6_000_000


def drained(reading: Reading) -> Iterator[tuple[int, Part, Samples]]:
    """All parts of a recording."""
    while (due := reading.due()) is not None:
        reading.enqueued()
        yield due


def test_a_part_is_due_until_it_is_enqueued() -> None:
    """Whoever was interrupted between reading and enqueueing finds it again."""
    reading = Reading(BURSTS, plan=Plan(split="fixed", max_segment_seconds=2), request_id="r")
    first = reading.due()
    assert first is not None
    assert reading.due() is first
    reading.enqueued()
    second = reading.due()
    assert second is not None
    assert (second[0], second[1].request_id) == (2, "r-0002")


def test_what_becomes_unreadable_is_missing_at_the_end() -> None:
    """The parts before it stand, and the error says from where on there is nothing."""
    sound = np.concatenate([BURSTS / 32_768.0] * 8)
    sound[60 * 16_000] = np.nan
    reading = Reading(sound, plan=Plan(split="energy"))
    assert list(drained(reading))
    unread = reading.end().unread
    assert unread is not None
    assert (unread.start, unread.end, unread.code) == (60.0, None, "NON_FINITE_SAMPLES")


def test_closing_lets_go_of_the_file(tmp_path: Path) -> None:
    """And nobody takes what was read until then for the whole."""
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(BURSTS.tobytes())
    reading = Reading(path, plan=Plan(split="fixed", max_segment_seconds=1))
    reading.due()
    reading.enqueued()
    reading.close()
    with pytest.raises(Cancelled):
        reading.due()
    assert not [link for link in Path("/proc/self/fd").iterdir() if _leads_to(link, path)]


def _leads_to(link: Path, path: Path) -> bool:
    try:
        return link.resolve() == path
    except OSError:
        return False


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        ({"split": "silence"}, "silence"),
        ({"max_segment_seconds": 31}, "31"),
        ({"max_segment_seconds": 0.5}, "0.5"),
        ({"max_segment_seconds": True}, "True"),
        ({"max_in_flight": 0}, "0"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, Any], shown: str) -> None:
    """The error names the value and the limit."""
    with pytest.raises(RequestError, match=f"{shown}.*expected"):
        Plan(**wrong)


def test_an_id_must_leave_room_for_the_numbers_of_its_parts() -> None:
    """Every part's id is the recording's with a number, and is a request id itself."""
    assert check_recording_id("x" * 120)
    with pytest.raises(RequestError):
        check_recording_id("x" * 121)


def heard(text: str, start: float, end: float, *, language: str = "en", seconds: float = 10.0) -> Transcript:
    """The transcript of one part."""
    word = Word(start=start, end=end, word=text, probability=1.0)
    segment = Segment(id=1, start=start, end=end, text=text, words=(word,))
    return Transcript(
        request_id="p", text=text, language=language, language_probability=0.5, duration=seconds,
        segments=(segment,), model="m",
    )  # fmt: skip


def part(number: int, seconds: float, lead: int = 0) -> Part:
    return Part(request_id=f"r-{number:04}", offset=round(16_000 * seconds), n_samples=160_000, lead=lead)


def assembled(assembly: Assembly) -> Transcript:
    return assembly.transcript(duration=99.0, language=None, warnings=("w",), failures=assembly.failures())


def test_times_are_the_parts_place_and_the_engines_times() -> None:
    """Segments and words are moved by the offset of their part, and numbered through."""
    assembly = Assembly("r")
    for number, start in enumerate((0.5, 30.25), start=1):
        assembly.add(part(number, start))
        assembly.ended(f"r-{number:04}", heard(f" text {number}", 1.0, 2.0))
    first, second = assembled(assembly).segments
    assert (first.id, first.start, first.end) == (1, 1.5, 2.5)
    assert (second.id, second.start, second.end) == (2, 31.25, 32.25)
    assert second.words is not None
    assert (second.words[0].start, second.words[0].end) == (31.25, 32.25)
    assert assembled(assembly).text == "text 1 text 2"


def test_what_begins_with_the_part_begins_where_speech_does() -> None:
    """Whisper says 0 for it, though a pause of a known length comes first."""
    assembly = Assembly("r")
    assembly.add(part(1, 10.0, lead=6_400))
    assembly.ended("r-0001", heard(" a", 0.0, 3.0))
    assert (assembly.segments[0].start, assembly.segments[0].end) == (10.4, 13.0)


def test_segments_come_as_far_as_all_before_them_are_there() -> None:
    """In the order of the recording, whichever part ends first."""
    assembly = Assembly("r")
    for number in (1, 2, 3):
        assembly.add(part(number, 10.0 * number))
    assembly.ended("r-0002", heard(" b", 1.0, 2.0))
    assert (assembly.segments, assembly.waiting) == ([], ["r-0001", "r-0003"])
    assembly.ended("r-0001", heard(" a", 1.0, 2.0))
    assert [one.text for one in assembly.segments] == [" a", " b"]
    assert assembly.waiting == ["r-0003"]


def test_a_part_that_failed_is_missing_and_said_to_be() -> None:
    """Its time span and error are in the failures and among the warnings; the rest is there."""
    assembly = Assembly("r")
    for number in (1, 2):
        assembly.add(part(number, 10.0 * number))
    assembly.ended("r-0001", EngineError("broke", "ENGINE_ERROR"))
    assembly.ended("r-0002", heard(" b", 1.0, 2.0))
    found = assembled(assembly)
    (failure,) = assembly.failures()
    assert (failure.start, failure.end, failure.code, failure.request_id) == (
        10,
        20,
        "ENGINE_ERROR",
        "r-0001",
    )
    assert (found.text, found.warnings) == ("b", ("w", "10.00 s to 20.00 s: broke [ENGINE_ERROR]"))


def receipt(number: int) -> Timings:
    """That of a part that was in a batch of its own."""
    return Timings(
        queued=0.5, prepared=0.125, engine=1.0, total=2.0, batch_id=f"w@a/{number}", batch_size=1,
        batch_position=0, batch_reason="alone", attempts=1, worker="w@a", submitted_at=1_000.0 + number,
    )  # fmt: skip


def test_a_recording_has_a_receipt_of_its_own() -> None:
    """Made of those of its parts; one that failed has none, and is not counted."""
    assembly = Assembly("r")
    for number in (1, 2, 3):
        assembly.add(part(number, 10.0 * number))
    assert assembly.timings(is_read=False) is None
    assembly.ended("r-0003", replace(heard(" c", 1.0, 2.0), timings=receipt(3)))
    assembly.ended("r-0002", EngineError("broke", "ENGINE_ERROR"))
    assembly.ended("r-0001", replace(heard(" a", 1.0, 2.0), timings=receipt(1)))
    found = assembled(assembly).timings
    assert found is not None
    assert (found.parts, found.batches, found.workers, found.worker) == (2, 2, 1, "w@a")
    assert (found.submitted_at, found.total, found.engine, found.attempts) == (1_001.0, 4.0, 2.0, 1)
    assert assembly.timings(is_read=True) == found


def test_a_recording_without_parts_has_a_receipt_too() -> None:
    """No worker has heard of it. While it is being read, nobody knows."""
    assembly = Assembly("r")
    assert assembly.timings(is_read=False) is None
    found = assembled(assembly).timings
    assert found is not None
    assert (found.parts, found.attempts, found.total, found.worker) == (0, 0, 0.0, "")


def test_the_receipt_of_a_recording_survives_json() -> None:
    """As that of a request does, whose JSON knows nothing of parts."""
    assembly = Assembly("r")
    assembly.add(part(1, 0.0))
    assembly.ended("r-0001", replace(heard(" a", 1.0, 2.0), timings=receipt(1)))
    transcript = assembled(assembly)
    encoded = json.loads(transcript.to("json"))
    assert decode_transcript(encoded) == transcript
    assert (encoded["timings"]["parts"], encoded["timings"]["batches"]) == (1, 1)
    assert not {"parts", "batches", "workers"} & encode_timings(receipt(1)).keys()


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "json"])
def test_the_receipt_of_a_recording_is_in_no_other_format(form: OutputFormat) -> None:
    """They hold what was said, and OpenAI's fields."""
    assembly = Assembly("r")
    assembly.add(part(1, 0.0))
    assembly.ended("r-0001", heard(" a", 1.0, 2.0))
    transcript = assembled(assembly)
    assert replace(transcript, timings=receipt(1)).to(form) == transcript.to(form)


def test_what_is_kept_of_a_part_is_not_kept_twice() -> None:
    """Its segments are the recording's, moved; its receipt is counted and let go."""

    def alive() -> Counter[type]:
        gc.collect()
        return Counter(type(one) for one in gc.get_objects() if isinstance(one, Segment | Timings))

    before = alive()
    assembly = Assembly("r")
    for number in range(1, 101):
        assembly.add(part(number, 10.0 * number))
        assembly.ended(f"r-{number:04}", replace(heard(" a", 1.0, 2.0), timings=receipt(number)))
    kept = alive() - before
    assert (kept[Segment], len(assembly.segments)) == (100, 100)
    assert kept[Timings] <= 1


def test_the_language_is_that_of_most_of_the_sound() -> None:
    """Not of most of the parts."""
    assembly = Assembly("r")
    for number, (language, seconds) in enumerate((("es", 4.0), ("de", 9.0), ("es", 4.0)), start=1):
        assembly.add(part(number, 10.0 * number))
        assembly.ended(f"r-{number:04}", heard(" x", 1.0, 2.0, language=language, seconds=seconds))
    assert (assembled(assembly).language, assembled(assembly).language_probability) == ("de", 0.5)


class Elsewhere:
    """What takes a course's steps: a clock of its own, a queue with room or without, and results at once."""

    def __init__(self) -> None:
        self.now = 0.0
        self.enqueued: list[str] = []
        self.terms: list[GivenTerms] = []
        self.paused: list[float] = []
        self.cancelled: list[str] = []
        self.errors: Iterator[Exception | None] = itertools.repeat(None)
        self.results = True

    def take(self, steps: Steps[Any]) -> Any:
        answer: Any = None
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._do(step)
                except TranscriptionError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as ended:
            return ended.value

    def _do(self, step: Any) -> Any:
        match step:
            case Read(reading=reading):
                return reading.due()
            case Pause(seconds=seconds):
                self.now += seconds
                self.paused.append(seconds)
            case Cancel(request_id=request_id):
                self.cancelled.append(request_id)
            case Enqueue(request_id=request_id, terms=terms):
                if (error := next(self.errors)) is not None:
                    raise error
                self.enqueued.append(request_id)
                self.terms.append(terms)
            case Exchange(commands=[("MGET", *keys), _]):
                return [heard(" x", 1.0, 2.0) if self.results else None for _ in keys]
            case Exchange(commands=[("HSET", _, field, _), *_]):
                return field == "cancelled"
        return None


@pytest.fixture
def elsewhere() -> Elsewhere:
    return Elsewhere()


@pytest.fixture
def begin(elsewhere: Elsewhere) -> Callable[..., Course]:
    """A function that makes the course of a recording of five parts."""

    def made(*, deadline: float | None = None, **plan: Any) -> Course:
        plan = {"split": "fixed", "max_segment_seconds": 2, **plan}
        reading = Reading(BURSTS, plan=Plan(**plan), request_id="r")
        return Course("r", reading, lambda: elsewhere.now, deadline=deadline)

    return made


def finish(course: Course, elsewhere: Elsewhere, timeout: float | None = None) -> Transcript:
    patience = Patience(timeout, elsewhere.now)
    while not course.is_complete:
        elsewhere.take(course.advance(patience))
    return course.transcript()


def test_all_parts_are_enqueued_in_order(elsewhere: Elsewhere, begin: Callable[..., Course]) -> None:
    """Each once, and the transcript is of them all."""
    transcript = finish(begin(), elsewhere)
    assert elsewhere.enqueued == [f"r-{number:04}" for number in range(1, 6)]
    assert (transcript.duration, len(transcript.segments), transcript.warnings) == (9.0, 5, ())


def test_no_more_than_so_many_parts_are_in_flight(elsewhere: Elsewhere, begin: Callable[..., Course]) -> None:
    """What has no room is not even read."""
    elsewhere.results = False
    course = begin(max_in_flight=2)
    with pytest.raises(ResultTimeout, match=r"2 of 2 parts .* not been enqueued to its end"):
        finish(course, elsewhere, timeout=3)
    assert len(elsewhere.enqueued) == 2
    assert course.progress().seconds_read < 9
    elsewhere.results = True
    assert len(finish(course, elsewhere).segments) == 5


def test_a_full_queue_is_left_alone_for_as_long_as_it_says(
    elsewhere: Elsewhere, begin: Callable[..., Course]
) -> None:
    """Nothing is lost by it, and nothing enqueued twice."""
    full = Overloaded("full", "QUEUE_FULL", 7.0)
    elsewhere.errors = iter([None, None, full, full, None, None, None])
    finish(begin(), elsewhere)
    assert elsewhere.enqueued == [f"r-{number:04}" for number in range(1, 6)]
    assert 14 <= elsewhere.now < 15


def test_a_queue_that_stays_full_ends_in_a_timeout(
    elsewhere: Elsewhere, begin: Callable[..., Course]
) -> None:
    """Waiting for room is waiting, and ends when the caller's time does."""
    elsewhere.errors = itertools.repeat(Overloaded("full", "QUEUE_FULL", 1.0))
    with pytest.raises(ResultTimeout):
        finish(begin(), elsewhere, timeout=5)
    assert elsewhere.now == pytest.approx(5)


def test_without_a_timeout_it_waits_as_long_as_something_comes(
    elsewhere: Elsewhere, begin: Callable[..., Course]
) -> None:
    """Ten minutes without a part is too long, an hour of parts is not."""
    elsewhere.errors = itertools.chain.from_iterable(
        [Overloaded("full", "QUEUE_FULL", 500.0), None] for _ in range(5)
    )
    finish(begin(), elsewhere)
    assert elsewhere.now >= 2_500
    elsewhere.errors = itertools.repeat(Overloaded("full", "QUEUE_FULL", 500.0))
    with pytest.raises(ResultTimeout):
        finish(begin(), elsewhere)


def test_a_redis_that_went_away_is_told_and_tried_again(
    elsewhere: Elsewhere, begin: Callable[..., Course]
) -> None:
    """The caller knows, and whoever asks again goes on with the part that may not have arrived."""
    elsewhere.errors = iter([None, QueueUnreachable("gone"), None, None, None, None])
    course = begin()
    with pytest.raises(QueueUnreachable):
        finish(course, elsewhere)
    assert len(finish(course, elsewhere).segments) == 5
    assert elsewhere.enqueued == [f"r-{number:04}" for number in range(1, 6)]


def test_a_part_that_is_refused_is_a_failure_and_the_first_is_an_error(
    elsewhere: Elsewhere, begin: Callable[..., Course]
) -> None:
    """What is wrong with the first is wrong with all."""
    elsewhere.errors = iter([None, RequestError("taken", "ID_CONFLICT"), None, None, None])
    course = begin()
    finish(course, elsewhere)
    (failure,) = course.failures()
    assert (failure.request_id, failure.code) == ("r-0002", "ID_CONFLICT")
    elsewhere.errors = itertools.repeat(RequestError("wrong", "BAD_OPTION"))
    with pytest.raises(RequestError, match="wrong"):
        finish(begin(), elsewhere)


def test_every_part_is_wanted_by_the_recordings_deadline(
    elsewhere: Elsewhere, begin: Callable[..., Course]
) -> None:
    """A point in time, of which later parts have less left; without one, none has a deadline."""
    elsewhere.errors = iter([None, Overloaded("full", "QUEUE_FULL", 7.0), None, None, None, None])
    finish(begin(deadline=60), elsewhere)
    left = [terms.get("deadline") for terms in elsewhere.terms]
    assert left == [60, *[pytest.approx(53, abs=0.5)] * 4]
    elsewhere.terms.clear()
    elsewhere.errors = itertools.repeat(None)
    finish(begin(), elsewhere)
    assert elsewhere.terms == [{}] * 5


def test_parts_that_cannot_be_in_time_go_last_and_are_not_missing(
    elsewhere: Elsewhere, begin: Callable[..., Course]
) -> None:
    """Whether they could not start by the deadline, or it has passed: late, under no deadline."""
    too_long = Overloaded("would wait", "WAIT_TOO_LONG", 3.0)
    elsewhere.errors = iter([None, too_long, None, Overloaded("full", "QUEUE_FULL", 70.0), None, None, None])
    course = begin(deadline=60)
    transcript = finish(course, elsewhere)
    assert elsewhere.terms[1:] == [LATE] * 4
    assert elsewhere.enqueued == [f"r-{number:04}" for number in range(1, 6)]
    assert (len(transcript.segments), course.failures()) == (5, ())


def test_a_recording_that_could_not_even_begin_in_time_is_refused(
    elsewhere: Elsewhere, begin: Callable[..., Course]
) -> None:
    """As a request would be; it is for the caller to say that late is better than never."""
    elsewhere.errors = itertools.repeat(Overloaded("would wait", "WAIT_TOO_LONG", 3.0))
    with pytest.raises(Overloaded, match="would wait"):
        elsewhere.take(begin(deadline=60).more())
    course = begin(deadline=60)
    elsewhere.now += 61
    with pytest.raises(DeadlineExceeded):
        elsewhere.take(course.more())
    assert elsewhere.enqueued == []


def test_cancel_reaches_every_part_that_waits(elsewhere: Elsewhere, begin: Callable[..., Course]) -> None:
    """Nothing more is enqueued, and who waits is told."""
    elsewhere.results = False
    course = begin(max_in_flight=3)
    with pytest.raises(ResultTimeout):
        finish(course, elsewhere, timeout=3)
    assert elsewhere.take(course.cancel())
    assert elsewhere.cancelled == elsewhere.enqueued
    with pytest.raises(Cancelled):
        finish(course, elsewhere)
    assert len(elsewhere.enqueued) == 3
