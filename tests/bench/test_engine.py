"""The ways that the engine benchmark compares, run for real over a clip or two."""

import os
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pytest

from bench.apart import Apart
from bench.clips import chosen_clips, joined
from bench.engine import SIZES, Subjects, Way, all_ways, decoded_clips, transcribed
from bench.rounds import Spent, spent

Answer = TypeVar("Answer")


def test_clips_are_as_short_as_what_people_say() -> None:
    """One to four seconds, and as many as were asked for even if there are fewer."""
    clips = chosen_clips(150)
    assert len(clips) == 150
    assert all(1.0 <= clip.seconds <= 4.0 for clip in clips)


def test_joined_clips_keep_their_places() -> None:
    """Cutting the whole at its places gives the clips again."""
    clips = chosen_clips(3)
    whole, places = joined(clips)
    assert places[0]["start"] == 0.0
    for clip, place in zip(clips, places, strict=True):
        part = whole[round(place["start"] * 16_000) : round(place["end"] * 16_000)]
        assert (part == clip.samples).all()


def test_all_ways_are_compared() -> None:
    """faster-whisper's two and ours, language detected and given, at every size and context."""
    ways = all_ways()
    assert len(ways) == len(set(ways)) == 2 * (2 + 2 * len(SIZES))


@pytest.mark.parametrize(
    "way", [way for way in all_ways() if way.who != "segue" or way.batch_size == 8], ids=str
)
def test_every_way_hears_what_is_said(way: Way) -> None:
    """The same work is compared: each way gives each clip's text, in order."""
    assert transcribed(way, 2, cpu_threads=2) == [clip.text for clip in chosen_clips(2)]


def test_ways_run_apart_and_say_what_they_spent() -> None:
    """What is ours shares no process with what it is compared with, nor with who measures."""
    with Apart() as one, Apart() as other:
        processes = [apart.run(os.getpid) for apart in (one, one, other)]
    assert processes[0].answer == processes[1].answer
    assert len({os.getpid(), *(run.answer for run in processes)}) == 3
    assert all(run.seconds > 0 for run in processes)


class Noting(Apart):
    """Runs things here, and notes which."""

    def __init__(self) -> None:
        self.ran: list[object] = []

    def run(self, thing: Callable[[], Answer]) -> Spent[Answer]:
        self.ran.append(thing.func if isinstance(thing, partial) else thing)
        return spent(thing)


def test_clips_are_decoded_before_anything_is_measured() -> None:
    """Decoding takes longer than hearing: in each process the clips are there when a way begins."""
    theirs, ours = Noting(), Noting()
    way = Way(who="segue", context="bucketed", batch_size=8, language="given")
    ready = Subjects(theirs=theirs, ours=ours, cpu_threads=1).measured([way], 2)
    assert theirs.ran == ours.ran == [decoded_clips]
    assert ready[way]().answer == [clip.text for clip in chosen_clips(2)]
    assert (theirs.ran, ours.ran) == ([decoded_clips], [decoded_clips, transcribed])


def test_a_way_reads_as_a_phrase() -> None:
    """It is what is shown while it runs."""
    way = Way(who="loop", context="full", batch_size=1, language="given")
    assert str(way) == "loop, full context, batches of 1, language given"
