"""What becomes of a batch that does not fit into the device: `python -m bench.gpu` fills it up and sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.gpu.measure import Failed, Way, failed, loaded, prepared
from bench.gpu.model import POSITIONS, Size
from workers.engine.base import Engine, Heard, Row
from workers.engine.isolation import run_isolated

#: Rows of full context in the batch, and how many of them there is room for, roughly. What a row takes is
#: reckoned without what a call needs once: room for that is left too, in bytes.
ROWS, FITTING, ONCE_BYTES = 512, 32, 2**30

#: float16.
_BYTES_A_NUMBER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What happened when a batch did not fit."""

    way: Way
    rows: int
    free_bytes: int
    """What the device had left for them."""
    heard: int
    """How many rows were, in smaller batches; all of them, if all is well."""
    engine_calls: int
    out_of_memory_at: int | None
    """The smallest number of rows that did not fit; None if all did, and nothing was shown."""
    runs_again: bool
    """Whether one row ran afterwards, in the same process."""


def probe(folder: Path, way: Way, size: Size) -> Probe | Failed:
    """Fill the device but for a part, and run more rows than fit there. On a CUDA device only."""
    try:
        engine = loaded(folder, way, "cuda")
        rows = prepared(engine, 1) * ROWS
        engine.run(rows[:1])  # what a library takes once
        with filled_up(FITTING * row_bytes(size) + ONCE_BYTES) as free:
            return halved(engine, rows, way, free)
    except (Exception, SystemExit) as error:  # whatever CUDA and its libraries raise, to be read
        return failed(way, error)


def row_bytes(size: Size) -> int:
    """What a decoder keeps of a row's encoded audio: keys and values of every layer."""
    return 2 * size.decoder_layers * POSITIONS * size.width * _BYTES_A_NUMBER


@contextmanager
def filled_up(but_for: int) -> Iterator[int]:
    """Take the device's memory but for so many bytes while the context lasts; how many are left."""
    import torch

    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    ballast = torch.empty(max(0, free - but_for), dtype=torch.uint8, device="cuda")
    try:
        yield torch.cuda.mem_get_info()[0]
    finally:
        del ballast
        torch.cuda.empty_cache()


def halved(engine: Engine, rows: Sequence[Row], way: Way, free_bytes: int) -> Probe:
    """Run `rows` as a worker does, and then one of them alone."""
    report = run_isolated(engine, rows)
    again = run_isolated(engine, rows[:1])
    return Probe(
        way=way,
        rows=len(rows),
        free_bytes=free_bytes,
        heard=sum(isinstance(outcome, Heard) for outcome in report.outcomes),
        engine_calls=report.engine_calls,
        out_of_memory_at=report.out_of_memory_at,
        runs_again=isinstance(again.outcomes[0], Heard),
    )
