"""A row that breaks the engine call fails alone."""

import math
import weakref
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import EngineError, EngineLost, OutOfMemory, RequestError
from protocol.options import Options
from workers.engine.base import Heard, Outcome, Row, Samples
from workers.engine.fake import FakeEngine, fingerprint
from workers.engine.isolation import as_engine_error, run_isolated

EVIL = "fail"


class RecordingEngine(FakeEngine):
    """The fake engine, which also notes how many rows each call had, and in how many each row succeeded."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.served: list[str] = []

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        self.sizes.append(len(rows))
        outcomes = super().run(rows)
        self.served += [fingerprint(row.samples) for row in rows]
        return outcomes


class HoardingEngine(FakeEngine):
    """Allocates something in each call, and fails; notes how many of earlier calls are there yet."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.allocated: list[weakref.ref[Samples]] = []
        self.still_there: list[int] = []

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        self.still_there.append(sum(one() is not None for one in self.allocated))
        encoded = np.concatenate([row.samples for row in rows])
        self.allocated.append(weakref.ref(encoded))
        try:
            raise ValueError("of the device")
        except ValueError as cause:
            raise type(self.error)(*self.error.args) from cause


class ForgetfulEngine(FakeEngine):
    """Gives one outcome too few, whatever the batch."""

    def run(self, rows: Sequence[Row]) -> list[Outcome]:
        return super().run(rows)[1:]


def rows_of(*scripts: str | None) -> list[Row]:
    """Rows whose audio differs, with these scripts."""
    return [
        FakeEngine().prepare(np.full(800, position / 32768, np.float32), Options(initial_prompt=script))
        for position, script in enumerate(scripts)
    ]


def texts(outcomes: Sequence[Outcome]) -> list[str | type]:
    return [outcome.text if isinstance(outcome, Heard) else type(outcome) for outcome in outcomes]


def test_a_healthy_batch_is_one_call() -> None:
    """When nothing fails, isolation costs nothing."""
    rows = rows_of(None, None, None)
    report = run_isolated(FakeEngine(), rows)
    assert texts(report.outcomes) == [fingerprint(row.samples) for row in rows]
    assert (report.engine_calls, report.out_of_memory_at) == (1, None)


def test_no_rows_are_no_call() -> None:
    """An empty batch does not reach the engine."""
    engine = RecordingEngine()
    report = run_isolated(engine, [])
    assert (report.outcomes, report.engine_calls, engine.sizes) == ([], 0, [])


@given(guilty=st.lists(st.booleans(), min_size=1, max_size=40))
def test_only_guilty_rows_fail(guilty: list[bool]) -> None:
    """Whichever rows break the call, they fail, all others are served once, and calls are bounded (B8)."""
    engine = RecordingEngine()
    rows = rows_of(*(EVIL if evil else None for evil in guilty))
    report = run_isolated(engine, rows)
    good = [fingerprint(row.samples) for row, evil in zip(rows, guilty, strict=True) if not evil]
    assert [isinstance(outcome, EngineError) for outcome in report.outcomes] == guilty
    assert [text for text in texts(report.outcomes) if isinstance(text, str)] == good
    assert sorted(engine.served) == sorted(good)
    extra_calls_each = 2 * math.ceil(math.log2(len(rows))) + 1
    assert report.engine_calls == len(engine.sizes) <= 1 + sum(guilty) * extra_calls_each


@given(n_rows=st.integers(1, 40), fit=st.integers(1, 40))
def test_out_of_memory_runs_smaller_pieces(n_rows: int, fit: int) -> None:
    """Where `fit` rows have room, all are served in order; no size is tried after a smaller one failed."""
    engine = RecordingEngine()
    rows = rows_of(*[f"out of memory above {fit}"] * n_rows)
    report = run_isolated(engine, rows)
    too_large = [size for size in engine.sizes if size > fit]
    assert texts(report.outcomes) == [fingerprint(row.samples) for row in rows]
    assert sorted(set(too_large), reverse=True) == too_large
    assert report.out_of_memory_at == min(too_large, default=None)


def test_a_row_that_does_not_fit_alone_fails_with_out_of_memory() -> None:
    """The error says so, and the others are served."""
    report = run_isolated(FakeEngine(), rows_of(None, "out of memory above 0", None))
    assert [type(outcome) for outcome in report.outcomes] == [Heard, OutOfMemory, Heard]
    assert report.out_of_memory_at == 1


@pytest.mark.parametrize("error", [OutOfMemory("full"), EngineError("broken"), KeyError(1)], ids=repr)
def test_an_error_holds_nothing_of_its_call(error: Exception) -> None:
    """What a call that failed had on the device is free when the next begins, also of a row alone."""
    engine = HoardingEngine(error)
    report = run_isolated(engine, rows_of(None, None, None, None))
    assert all(isinstance(outcome, EngineError) for outcome in report.outcomes)
    assert engine.still_there == [0] * report.engine_calls


def test_a_refused_row_is_not_a_failed_call() -> None:
    """What the engine refuses itself needs no second call."""
    report = run_isolated(FakeEngine(), rows_of(None, "refuse"))
    assert [type(outcome) for outcome in report.outcomes] == [Heard, RequestError]
    assert report.engine_calls == 1


def test_a_passing_fault_passes() -> None:
    """A row that broke only the first calls is served in the same run."""
    report = run_isolated(FakeEngine(), rows_of(None, "fail 2 times", None, None))
    assert all(isinstance(outcome, Heard) for outcome in report.outcomes)


def test_a_retryable_error_stays_retryable() -> None:
    """An error of our own reaches the caller as it is, so that whether again helps is not lost."""
    [outcome] = run_isolated(FakeEngine(), rows_of("fail 9 times")).outcomes
    assert isinstance(outcome, EngineLost)
    assert outcome.retryable


def test_a_missing_outcome_is_a_failure() -> None:
    """An engine that gives fewer outcomes than rows serves nobody, rather than the wrong one."""
    report = run_isolated(ForgetfulEngine(), rows_of(None, None))
    assert [type(outcome) for outcome in report.outcomes] == [EngineError, EngineError]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("index 3 is out of bounds", "ValueError: index 3 is out of bounds"),
        ("cannot open /srv/models/base/model.bin: gone", "ValueError: cannot open <path>: gone"),
        ("in '~/models/x.bin' and C:\\models\\x.bin", "ValueError: in '<path>' and <path>"),
        ("two\nlines, and/or 3/4", "ValueError: two lines, and/or 3/4"),
    ],
)
def test_a_foreign_error_is_shown_without_paths(message: str, shown: str) -> None:
    """The type and the message in one line, and nothing of how this machine is laid out."""
    assert as_engine_error(ValueError(message)).message == shown


def test_a_foreign_error_is_cut_to_500_characters() -> None:
    """However much a library has to say."""
    assert len(as_engine_error(ValueError("word " * 1_000)).message) == 500
