"""The demo's arithmetic and pictures: word errors, batches from receipts, what is planned and shown."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from cli.demo.display import Display, histogram, picture_of
from cli.demo.figures import Figures, Progress, Run, batches_of
from cli.demo.plan import Planned, make_plan, read_plan, write_plan
from cli.demo.report import compared, report_of
from cli.demo.words import align, word_error_rate, word_errors
from protocol.errors import EngineError, TranscriptionError
from protocol.transcript import Timings, Transcript
from workers.demo import Clip

WORDS = st.lists(st.sampled_from("a b c d".split()), max_size=8)


def transcript(
    request_id: str, text: str, *, batch: int = 1, size: int = 1, queued: float = 0.0
) -> Transcript:
    """Two seconds of audio, heard as `text` in this batch."""
    timings = Timings(
        queued=queued,
        prepared=0.1,
        engine=0.5,
        total=1.0,
        batch_id=f"w@host/{batch}",
        batch_size=size,
        batch_position=0,
        batch_reason="full",
        attempts=1,
        worker="w@host",
    )
    return Transcript(
        request_id=request_id,
        text=text,
        language="en",
        language_probability=1.0,
        duration=2.0,
        timings=timings,
    )


def planned(request_id: str, said: str) -> Planned:
    return Planned(request_id=request_id, path="x.flac", language="en", priority="normal", said=said)


def run_of(name: str, seconds: float, **heard: str | TranscriptionError) -> Run:
    """A run in which "yes please" was said each time; one batch of all."""
    outcomes = {
        request_id: transcript(request_id, text, size=len(heard)) if isinstance(text, str) else text
        for request_id, text in heard.items()
    }
    plan = tuple(planned(request_id, "yes please") for request_id in heard)
    return Run(name=name, plan=plan, outcomes=outcomes, seconds=seconds)


def shown(*renderables: object) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    for renderable in renderables:
        console.print(renderable)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def marked(text: Text) -> list[str]:
    return [text.plain[span.start : span.end].strip() for span in text.spans if "red" in str(span.style)]


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("Call me at 6.", "call me at 6", 0),
        ("¿Qué hora es?", "que hora es", 1),
        ("one two three", "one three", 1),
        ("one three", "one two three", 1),
        ("one two", "", 2),
        ("", "one two", 2),
        ("don't", "dont", 1),
    ],
)
def test_word_errors_are_words_replaced_left_out_or_put_in(said: str, heard: str, errors: int) -> None:
    """Case and punctuation do not count, accents do."""
    assert word_errors(said, heard) == errors


@given(WORDS, WORDS)
def test_an_alignment_keeps_both_texts(said: list[str], heard: list[str]) -> None:
    """Nothing is lost or doubled on either side, and no pair is empty on both."""
    pairs = align(said, heard)
    assert [one for one, _ in pairs if one is not None] == said
    assert [other for _, other in pairs if other is not None] == heard
    assert (None, None) not in pairs


@given(WORDS, WORDS)
def test_word_errors_are_a_distance(said: list[str], heard: list[str]) -> None:
    """The same either way round, at least the difference in length, at most the longer text."""
    errors = word_errors(" ".join(said), " ".join(heard))
    assert errors == word_errors(" ".join(heard), " ".join(said))
    assert abs(len(said) - len(heard)) <= errors <= max(len(said), len(heard))
    assert (errors == 0) == (said == heard)


def test_the_rate_weighs_words_not_texts() -> None:
    """Four words said in two texts, one of them wrong: 25 %, whichever text it is in."""
    assert word_error_rate([("one", "two"), ("a b c", "a b c")]) == 0.25
    assert word_error_rate([]) == 0.0


def test_batches_are_told_by_receipts() -> None:
    """Members of one batch id are one batch: its wait is the longest, its audio the sum; as they ran."""
    receipts = [
        transcript("a", "", batch=10, queued=0.1),
        transcript("b", "", batch=9, size=2, queued=0.2),
        transcript("c", "", batch=9, size=2, queued=0.7),
    ]
    first, second = batches_of(receipts)
    assert (first.batch_id, first.size, first.waited, first.audio_seconds) == ("w@host/9", 2, 0.7, 4.0)
    assert (second.batch_id, second.size) == ("w@host/10", 1)


def test_a_run_counts_only_what_succeeded() -> None:
    """A request without a transcript is a failure, and adds nothing to the throughput."""
    run = run_of("batched", 4.0, a="yes please", b=EngineError("broken"), c="yes peas")
    assert (run.failed, run.audio_per_second, run.requests_per_second) == (1, 1.0, 0.5)
    assert run.word_error_rate == 0.25


def test_figures_compare_like_with_like() -> None:
    """The gain is in audio per second; the same text is character for character."""
    alone = run_of("one by one", 4.0, a="yes please", b="Yes please")
    together = run_of("batched", 2.0, c="yes please", d="yes please")
    figures = Figures(one_by_one=alone, batched=together, producers=3, cores=2, redis="embedded")
    assert (figures.gain, figures.same_text) == (2.0, 1)
    told = figures.as_json()
    assert told["one_by_one"]["audio_seconds_per_second"] == 1.0
    assert told["batched"]["batches"][0]["size"] == 2
    assert told["transcripts"][0]["heard"] == "yes please"


def test_same_text_compares_the_same_audio_even_if_one_failed() -> None:
    """A failure in one run does not shift the comparison: request by request, in the order of the plan."""
    broken = EngineError("broken")
    alone = run_of("one by one", 1.0, a=broken, b="two", c=broken)
    together = run_of("batched", 1.0, d="one", e="two", f=broken)
    figures = Figures(one_by_one=alone, batched=together, producers=1, cores=1, redis="embedded")
    assert figures.same_text == 1


def test_nothing_heard_is_reported_too() -> None:
    """Where every request failed there are no rates, but there is a report, with the errors."""
    alone = run_of("one by one", 1.0, a=EngineError("broken engine"))
    together = run_of("batched", 1.0, b=EngineError("broken engine"))
    figures = Figures(one_by_one=alone, batched=together, producers=1, cores=1, redis="embedded")
    assert figures.gain == 0.0
    assert shown(*report_of(figures)).count("broken engine [ENGINE_ERROR]") == 2


def test_the_report_shows_what_differs() -> None:
    """Words that differ stand out on both sides; a gap has a mark of its own."""
    said, heard = compared("Turn on the light.", "turn the light now")
    assert (marked(said), marked(heard)) == (["on"], ["·", "now"])


def test_every_plan_mixes_priorities_and_repeats_clips_under_new_ids(tmp_path: Path) -> None:
    """More segments than clips is fine: a request is known by its id, not by its audio."""
    clips = [Clip(path=tmp_path / f"{n}.flac", language="en", text=str(n), samples=16_000) for n in range(3)]
    plan = make_plan(clips, 16, "demo")
    assert Counter(entry.priority for entry in plan) == {"urgent": 2, "normal": 8, "bulk": 6}
    assert len({entry.request_id for entry in plan}) == 16
    assert [entry.said for entry in plan[:4]] == ["0", "1", "2", "0"]
    write_plan(tmp_path / "plan.json", plan)
    assert read_plan(tmp_path / "plan.json") == plan


def test_the_live_picture_says_where_requests_are() -> None:
    """Submitted, waiting, in a batch, done, the batch sizes and the rate are all in it."""
    progress = Progress(
        total=20,
        submitted=18,
        waiting=7,
        in_batch=8,
        done=3,
        seconds=2.0,
        audio_seconds=9.0,
        batch_sizes=(2, 1),
    )
    told = " ".join(shown(picture_of("batched", progress)).split())
    for part in ("3/20", "submitted 18", "waiting 7", "in batch 8", "done 3", "1 █ ×1 2 █ ×1", "4.5 audio s"):
        assert part in told


def test_the_histogram_counts_each_size() -> None:
    """Sizes in order, the most frequent the highest; nothing for no batch."""
    assert histogram([8, 2, 8]) == "2 ▄ ×1  8 █ ×2"
    assert histogram([]) == ""


def test_no_terminal_gets_no_moving_pictures() -> None:
    """In a log file every step is one plain line."""
    out = io.StringIO()
    display = Display(Console(file=out, width=80))
    with display.step("starting Redis"), display.live("batched") as watch:
        watch(
            Progress(
                total=1,
                submitted=0,
                waiting=0,
                in_batch=0,
                done=0,
                seconds=0.0,
                audio_seconds=0.0,
                batch_sizes=(),
            )
        )
    assert out.getvalue() == "starting Redis\n"
