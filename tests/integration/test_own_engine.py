"""Promise: a class of the operator's own is an engine like ours, and its mistakes harm nobody else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cli.leash import DidNotStart
from producer import Client, Ticket
from protocol.errors import EngineError, RequestError
from protocol.transcript import Transcript
from tests.documents import ROOT, blocks
from tests.integration.conftest import StartWorker
from tests.integration.terminal import terminal
from tests.integration.test_docs_examples import SENTENCES, of_a_reader, run_page, said, write_wav
from workers.demo import speech

PAGE = ROOT / "docs/how-to/own-engine.md"

#: Its outcome is what `hotwords` asks for; the rest of a batch has its length.
MISTAKEN = """
from protocol.errors import RequestError
from protocol.transcript import Segment
from workers.engine.base import Engine, Heard, Row


class Mistaken(Engine):
    def __init__(self, model, **how):
        self.model = model

    def load(self):
        if self.model == "missing":
            raise RuntimeError("no such weights")

    def prepare(self, samples, options):
        if options.hotwords == "unprepared":
            raise ValueError("not prepared, as asked")
        return Row(samples=samples, options=options)

    def run(self, rows):
        return [self.outcome(row) for row in rows]

    def outcome(self, row):
        match row.options.hotwords:
            case "refused":
                return RequestError("refused, as asked")
            case "raised":
                raise RuntimeError("raised\\nforged line, as asked")
            case "no outcome":
                return "a text"
            case "no text":
                return Heard(text=None)
            case "no plain data":
                return Heard(text="", data={"samples": {1, 2}})
            case "no message":
                return RequestError(ValueError("too noisy"))
            case "half a letter":
                return Heard(text="hi \\ud83d")
            case "no number":
                return Heard(text="", segments=(Segment(id=1, start=0, end=1, text="", temperature=None),))
            case "too large":
                return Heard(text="", data={"long": "x" * 1_000_000})
            case _:
                return Heard(text="", data={"samples": len(row.samples)})
"""


def test_what_the_page_shows_works(new_redis: str, tmp_path: Path) -> None:
    """docs/how-to/own-engine.md from top to bottom: its class beside our engine, in one worker."""
    text = PAGE.read_text("utf-8")
    there = blocks(text)
    (tmp_path / "embedder.py").write_text(next(block.code for block in there if block.language == "python"))
    (tmp_path / "models.yaml").write_text(next(block.code for block in there if block.language == "yaml"))
    clips = {clip.path.stem: clip for clip in speech()}
    for name in ("one", "two"):
        write_wav(tmp_path / f"{name}.wav", said(clips[SENTENCES[name]]))
    with terminal("own-engine.md", of_a_reader(new_redis), tmp_path) as opened:
        run_page("docs/how-to/own-engine.md", text, opened)


MISTAKES = {
    "unprepared": (EngineError, "ValueError: not prepared, as asked"),
    "refused": (RequestError, "refused, as asked"),
    "raised": (EngineError, "RuntimeError: raised forged line, as asked"),
    "no outcome": (
        EngineError,
        "engine 'mistaken:Mistaken' gave str for an outcome, expected Heard or an error",
    ),
    "no text": (
        EngineError,
        "engine 'mistaken:Mistaken' gave text in an outcome: Input should be a valid string",
    ),
    "no plain data": (EngineError, "gave an outcome that is not plain data: .*set"),
    "no message": (RequestError, "too noisy"),
    "half a letter": (EngineError, "gave an outcome that is not plain data: .*surrogates"),
    "no number": (EngineError, "gave segments.0.temperature in an outcome: Input should be a valid number"),
    "too large": (EngineError, r"gave an outcome of 1000\d\d\d bytes, the limit is 1000000"),
}


def test_a_mistake_fails_the_request_it_was_made_with(
    start_worker: StartWorker, client: Client, tmp_path: Path, noise: Callable[..., NDArray[np.int16]]
) -> None:
    """All kinds of them in one batch, and a neighbour between each two; the engine process goes on."""
    (tmp_path / "mistaken.py").write_text(MISTAKEN)
    start_worker(
        engine="mistaken:Mistaken", min_batch_size=20, max_batch_size=20, max_batch_wait_ms=5_000, model="m"
    )
    wishes = [wish for mistake in MISTAKES for wish in (mistake, None)]
    tickets = [
        client.submit(noise(nth), hotwords=wish, conversation=f"c{nth}") for nth, wish in enumerate(wishes)
    ]
    outcomes = [_outcome(ticket) for ticket in tickets]
    for (kind, message), outcome in zip(MISTAKES.values(), outcomes[::2], strict=True):
        assert type(outcome) is kind
        with pytest.raises(kind, match=message):
            raise outcome
    for outcome in outcomes[1::2]:
        assert isinstance(outcome, Transcript)
        assert (outcome.data, outcome.model) == ({"samples": 8_000}, "m")
    lines = (tmp_path / "w.log").read_text("utf-8").splitlines()
    assert [line for line in lines if "forged line" in line]
    assert not [line for line in lines if line.startswith("forged")]


def test_a_class_that_cannot_be_loaded_keeps_the_worker_from_starting(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    """It says which class, and why."""
    (tmp_path / "mistaken.py").write_text(MISTAKEN)
    with pytest.raises(DidNotStart):
        start_worker(engine="mistaken:Mistaken", model="missing")
    assert "engine 'mistaken:Mistaken' cannot be loaded: RuntimeError: no such weights" in (
        tmp_path / "w.log"
    ).read_text("utf-8")


def _outcome(ticket: Ticket) -> Transcript | Exception:
    try:
        return ticket.result(timeout=60)
    except (EngineError, RequestError) as error:
        return error
