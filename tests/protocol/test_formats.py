"""Promise: every transcript can be written down in every format, and other people's parsers read it back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import srt  # type: ignore[import-untyped]
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.cues import columns, wrap
from protocol.errors import RequestError
from protocol.formats import FORMATS, OutputFormat
from protocol.transcript import Segment, Timings, Transcript, Word
from protocol.wire import decode_transcript

GOLDEN = Path(__file__).parents[1] / "data" / "golden"

#: What makes a format break: markup, an arrow, line breaks and tabs in a text, a segment that needs
#: several cues, times that overlap, run backwards or round to the same millisecond, wide characters.
SPOKEN = [
    (0.0, 2.4996, " Tea & biscuits: 1 < 2 --> true."),
    (2.4994, 11.0, " " + "The quick brown fox jumps over the lazy dog. " * 4),
    (10.5, 12.0, "Two\nlines,\ta tab\x00 and <i>no markup</i>."),
    (12.0, 11.0, "Backwards."),
    (12.0001, 12.0002, "Short."),
    (13.0, 15.0, "今日は天気がいいので、駅まで歩いてから電車に乗って海を見に行こうと思います。"),
    (15.0, 15.5, "  "),
    (3_599.9996, 3_601.0, "Rounded up to the hour."),
]


def transcript(spoken: list[tuple[float, float, str]], text: str | None = None) -> Transcript:
    segments = tuple(
        Segment(id=number, start=start, end=end, text=said, tokens=(50_364, number), avg_logprob=-0.25)
        for number, (start, end, said) in enumerate(spoken)
    )
    return Transcript(
        request_id="golden",
        text="".join(said for _, _, said in spoken) if text is None else text,
        language="en",
        language_probability=0.5,
        duration=30.0,
        segments=segments,
        model="demo",
        warnings=("loud",),
        timings=Timings(
            queued=0.1,
            prepared=0.2,
            engine=0.3,
            total=0.6,
            batch_id="w/1",
            batch_size=8,
            batch_position=3,
            batch_reason="full",
            attempts=1,
            worker="w",
        ),
    )


def read_vtt(document: str) -> list[tuple[int, int, str]]:
    cues = webvtt.from_string(document).captions
    return [(_milliseconds(cue.start), _milliseconds(cue.end), cue.raw_text) for cue in cues]


def read_srt(document: str) -> list[tuple[int, int, str]]:
    return [
        (round(cue.start.total_seconds() * 1_000), round(cue.end.total_seconds() * 1_000), cue.content)
        for cue in srt.parse(document, ignore_errors=False)
    ]


def read_tsv(document: str) -> list[tuple[int, int, str]]:
    header, *rows = document.splitlines()
    assert header == "start\tend\ttext"
    cells = [row.split("\t") for row in rows]
    return [(int(start), int(end), text) for start, end, text in cells]


READERS = {"srt": read_srt, "vtt": read_vtt, "tsv": read_tsv}


def _milliseconds(clock: str) -> int:
    hours, minutes, seconds = clock.split(":")
    return round(1_000 * (3_600 * int(hours) + 60 * int(minutes) + float(seconds)))


def unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def test_a_transcript_has_the_words_of_its_segments() -> None:
    """In order, without a look into each; None where there are none to have."""
    spoken = [
        Segment(
            id=at,
            start=at,
            end=at + 1,
            text=" hi",
            words=(Word(start=at, end=at + 1, word=" hi", probability=1),),
        )
        for at in range(2)
    ]
    transcript = Transcript(
        request_id="a",
        text="hi hi",
        language="en",
        language_probability=1,
        duration=2,
        segments=tuple(spoken),
    )
    assert transcript.words == tuple(word for segment in spoken for word in segment.words or ())
    assert replace(transcript, segments=()).words is None
    assert replace(transcript, segments=(replace(spoken[0], words=None),)).words is None


def words(text: str) -> str:
    """`text` without spaces: a line may break inside a word that is longer than it."""
    return "".join(text.split())


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_is_written_as_agreed(form: OutputFormat) -> None:
    """Byte for byte what lies in the golden file, which a person has looked at."""
    golden = (GOLDEN / f"transcript.{form}").read_bytes().decode("utf-8")
    assert transcript(SPOKEN).to(form) == golden.removesuffix("\n" if form not in READERS else "")


@pytest.mark.parametrize("form", READERS)
def test_other_parsers_read_the_same_words_back(form: OutputFormat) -> None:
    """srt and webvtt-py find every word in order, and times that never overlap or run backwards."""
    cues = READERS[form](transcript(SPOKEN).to(form))
    spoken = "".join(said for _, _, said in SPOKEN).replace("\0", "")
    found = "".join(text for _, _, text in cues)
    assert words(unescaped(found) if form == "vtt" else found) == words(
        spoken.replace("-->", "->") if form == "srt" else spoken
    )
    check_times(cues)


def check_times(cues: list[tuple[int, int, str]]) -> None:
    edges = [edge for start, end, _ in cues for edge in (start, end)]
    assert edges == sorted(edges)
    assert all(start < end for start, end, _ in cues)


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_fit_their_screen(form: OutputFormat) -> None:
    """No line is wider and no cue has more lines than asked for; wide characters count twice."""
    written = transcript(SPOKEN).to(form, max_line_width=20, max_line_count=1)
    lines = [unescaped(text).splitlines() for _, _, text in READERS[form](written)]
    assert {len(cue) for cue in lines} == {1}
    assert max(columns(line) for cue in lines for line in cue) == 20


def test_a_long_segment_shares_its_time_by_length() -> None:
    """Cues of one segment follow each other without a gap, and longer ones stay longer."""
    cues = read_srt(
        transcript([(1.0, 4.0, "aaaa bbbb cccc dddd ee")]).to("srt", max_line_width=9, max_line_count=1)
    )
    assert cues == [(1_000, 2_350, "aaaa bbbb"), (2_350, 3_700, "cccc dddd"), (3_700, 4_000, "ee")]


def test_a_word_longer_than_a_line_is_broken() -> None:
    """Between characters, and never between a letter and its accent."""
    assert wrap("abcdefgh ij", 4) == ["abcd", "efgh", "ij"]
    assert wrap("e\u0301" * 3, 2) == ["e\u0301" * 2, "e\u0301"]
    assert wrap("日本語です", 4) == ["日本", "語で", "す"]
    assert wrap("", 4) == []


@pytest.mark.parametrize("form", READERS)
def test_text_without_segments_lasts_the_whole_audio(form: OutputFormat) -> None:
    """A request without timestamps still gives a file that players open."""
    assert READERS[form](transcript([], text=" Hello. ").to(form)) == [(0, 30_000, "Hello.")]


@pytest.mark.parametrize("form", READERS)
def test_silence_gives_an_empty_file(form: OutputFormat) -> None:
    """Nobody spoke: a valid file without a cue."""
    assert READERS[form](transcript([], text="").to(form)) == []


def test_json_holds_all_there_is() -> None:
    """What was written as JSON is the transcript again, receipt and all."""
    assert decode_transcript(json.loads(transcript(SPOKEN).to("json"))) == transcript(SPOKEN)


def test_verbose_json_has_openais_fields() -> None:
    """Those of openai-python's `TranscriptionVerbose` and `TranscriptionSegment`, by name and type."""
    verbose: Any = json.loads(transcript(SPOKEN).to("verbose_json"))
    assert {name: type(value) for name, value in verbose.items()} == {
        "language": str,
        "duration": float,
        "text": str,
        "segments": list,
    }
    expected = "id seek start end text tokens temperature avg_logprob compression_ratio no_speech_prob"
    assert [*verbose["segments"][0]] == expected.split()


@pytest.mark.parametrize(
    "wrong",
    [{"form": "ass"}, {"form": "srt", "max_line_width": 1}, {"form": "vtt", "max_line_count": 0}],
)
def test_what_cannot_be_written_is_refused(wrong: dict[str, Any]) -> None:
    """An unknown format and limits that nothing fits into are named."""
    with pytest.raises(RequestError, match=str(list(wrong.values())[-1])) as caught:
        transcript(SPOKEN).to(**wrong)
    assert caught.value.code == "BAD_OPTION"


times = st.floats(-10, 1e5) | st.sampled_from([math.nan, math.inf, -math.inf])


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(times, times, st.text(st.characters(exclude_categories=["Cs"]), max_size=40)), max_size=6
    ),
    st.integers(2, 50),
    st.integers(1, 3),
)
def test_whatever_was_heard_reads_back(
    spoken: list[tuple[float, float, str]], width: int, count: int
) -> None:
    """Any text at any times: as many cues come back as went out, in order, with every word."""
    heard = transcript(spoken)
    in_vtt = read_vtt(heard.to("vtt", max_line_width=width, max_line_count=count))
    in_srt = heard.to("srt", max_line_width=width, max_line_count=count)
    check_times(in_vtt)
    assert in_srt.count(" --> ") == len(in_vtt)
    assert len(read_tsv(heard.to("tsv"))) <= len(in_vtt)
