"""What the engine benchmark makes of its measurements."""

import json
from typing import Literal

import numpy as np
import pytest
from rich.console import Console

from bench.clips import Spoken
from bench.engine import Measured, Texts, Way
from bench.figures import as_json, figures_of, of_features, table_of
from bench.rounds import Spent, Timed
from bench.tables import tables_of

CLIPS = tuple(Spoken(samples=np.zeros(n * 16_000, np.float32), text="") for n in (1, 3))


def way(
    who: Literal["loop", "pipeline", "segue"] = "segue",
    context: Literal["full", "bucketed"] = "full",
    batch_size: int = 1,
) -> Way:
    return Way(who=who, context=context, batch_size=batch_size, language="given")


def timed(seconds: float, *texts: str) -> Timed[Texts]:
    return Timed(runs=[Spent(seconds=seconds, cpu_seconds=2 * seconds, answer=list(texts))])


MEASURED = Measured(
    clips=CLIPS,
    rounds=3,
    cpu_threads=2,
    ways={
        way("loop"): timed(8.0, "Yes.", "No."),
        way("pipeline", batch_size=8): timed(4.0, "Yes.", "No."),
        way("segue", "bucketed", 8): timed(0.5, "Yes.", "Now."),
    },
    table={
        way(batch_size=1): timed(10.0),
        way(batch_size=8): timed(4.0),
        way(context="bucketed", batch_size=1): timed(1.0),
        way(context="bucketed", batch_size=8): timed(0.1),
    },
    features={
        "faster-whisper": Timed(runs=[Spent(seconds=0.96, cpu_seconds=1.6, answer=96_032)]),
        "batch": Timed(runs=[Spent(seconds=0.32, cpu_seconds=0.64, answer=96_032)]),
    },
)


def test_figures_are_ratios_to_faster_whispers_own_ways() -> None:
    """Seconds are those of a clip; the texts that differ from the loop's are counted."""
    ours = figures_of(MEASURED)[-1]
    assert (ours.seconds_per_clip, ours.against_loop, ours.against_pipeline) == (0.25, 16.0, 8.0)
    assert (ours.cpu_seconds_per_clip, ours.cpu_against_loop) == (0.5, 16.0)
    assert ours.texts_as_loop == 1


def test_speedup_is_against_batches_of_one_in_the_same_context() -> None:
    """Else a shorter window would pass for the merit of batching."""
    lines = table_of(MEASURED.table, 20)
    assert [line.speedup for line in lines] == pytest.approx([1.0, 2.5, 1.0, 10.0])
    assert lines[1].seconds_per_sample == 0.2


def test_features_are_held_against_faster_whispers_extractor() -> None:
    """Seconds are those of one stretch."""
    theirs, ours = of_features(MEASURED.features)
    assert (theirs.times_faster, theirs.times_cheaper) == (1.0, 1.0)
    assert (ours.seconds_per_stretch, ours.cpu_seconds_per_stretch) == (0.01, 0.02)
    assert (ours.times_faster, ours.times_cheaper) == pytest.approx((3.0, 2.5))


def test_json_says_what_was_measured_and_where() -> None:
    """One object: machine, settings, clips, and the predecessor's own figures beside ours."""
    found = json.loads(json.dumps(as_json(MEASURED, 20)))
    assert found["clips"] == {"count": 2, "shortest": 1.0, "longest": 3.0, "total": 4.0}
    assert found["settings"]["cpu_threads"] == 2
    assert found["machine"]["cores"] >= 1
    assert found["figures"][-1]["context"] == "bucketed"
    assert found["figures"][-1]["against_loop"] == 16.0
    assert [line["speedup"] for line in found["table"]["predecessor"]] == [1.0, 1.6, 3.1, 3.5]
    assert [maker["times_faster"] for maker in found["features"]["makers"]] == [1.0, 3.0]
    assert found["features"]["seconds_each"] == 30.0


def test_tables_fit_a_narrow_terminal() -> None:
    """Eighty columns show every figure whole."""
    console = Console(width=80)
    with console.capture() as shown:
        for part in tables_of(MEASURED):
            console.print(part)
    assert "16.00" in shown.get()
    assert "1/2" in shown.get()
    assert "3.5x" in shown.get()
    assert "Segue, a batch on all cores" in shown.get()
    assert "…" not in shown.get()
