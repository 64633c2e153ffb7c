"""The ways that the engine benchmark compares, run for real over a clip or two."""

import pytest

from bench.clips import chosen_clips, joined
from bench.engine import SIZES, Subjects, Way


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


@pytest.fixture(scope="module")
def subjects() -> Subjects:
    return Subjects(cpu_threads=2)


def test_all_ways_are_compared(subjects: Subjects) -> None:
    """faster-whisper's two and ours, language detected and given, at every size and context."""
    ways = list(subjects.ways(chosen_clips(1)))
    assert len(ways) == len(set(ways)) == 2 * (2 + 2 * len(SIZES))


def test_every_way_hears_what_is_said(subjects: Subjects) -> None:
    """The same work is compared: each way gives each clip's text, in order."""
    clips = chosen_clips(2)
    chosen = {
        way: run for way, run in subjects.ways(clips).items() if way.who != "segue" or way.batch_size == 8
    }
    assert {way: run() for way, run in chosen.items()} == {
        way: [clip.text for clip in clips] for way in chosen
    }


def test_a_way_reads_as_a_phrase() -> None:
    """It is what is shown while it runs."""
    way = Way(who="loop", context="full", batch_size=1, language="given")
    assert str(way) == "loop, full context, batches of 1, language given"
