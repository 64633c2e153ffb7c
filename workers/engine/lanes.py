"""Threads side by side, each running rows through the model on one core.

CTranslate2 can share one call out among threads, or make several calls at once. The second is better on a
CPU: threads of one call wait for each other after every product, and a small model's products are short.
Rows are independent, so a batch is cut into pieces, and the pieces run side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Generic, TypeVar

Row = TypeVar("Row")
Piece = Sequence[Row]


class Lanes:
    """A number of threads that run pieces; the caller's own if that number is one."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="lane") if count > 1 else None

    def run(self, listen: Callable[[Piece[Row]], None], pieces: Sequence[Piece[Row]]) -> None:
        """Let `listen` run over each piece, the first ones first; come back when none runs any more.

        Raises:
            Exception: what the first piece that failed raised.
        """
        if self._threads is None:
            for piece in pieces:
                listen(piece)
            return
        running = [self._threads.submit(listen, piece) for piece in pieces]
        wait(running)
        for piece_run in running:
            piece_run.result()

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown()


@dataclass(frozen=True, slots=True)
class _Plan(Generic[Row]):
    """Pieces, and how they run: whichever lane is free first takes the most expensive that is left."""

    pieces: list[Piece[Row]]
    ends: list[float]
    """When each lane is through, the last one first."""
    last: list[Piece[Row]]
    """What the lane runs that is through last."""


def pieces_of(
    groups: Sequence[Piece[Row]], lanes: int, cost: Callable[[Row], float], call: float
) -> list[Piece[Row]]:
    """`groups`, cut so that the batch ends as soon as it can, the most expensive piece first.

    Tried are whole groups, and groups of which none has more than a lane's share of the rows; and from each,
    lanes that end late give rows to lanes that end early. Of what ends first, it is the fewest pieces.

    Args:
        groups: rows that may share a call.
        lanes: how many pieces can run at once.
        cost: of a row, in any unit.
        call: what each piece costs beside its rows, in the same unit.
    """

    def weight(piece: Piece[Row]) -> float:
        return call + sum(map(cost, piece))

    share = -(-sum(map(len, groups)) // lanes)
    shared = [group[start : start + share] for group in groups for start in range(0, len(group), share)]
    plans = [_planned(pieces, lanes, weight) for pieces in (groups, shared)]
    plans += [_improved(plan, lanes, weight, call) for plan in plans]
    best = min(plans, key=lambda plan: (plan.ends[0], len(plan.pieces)))
    return sorted(best.pieces, key=weight, reverse=True)


def _improved(plan: _Plan[Row], lanes: int, weight: Callable[[Piece[Row]], float], call: float) -> _Plan[Row]:
    """With rows moved from the lane that ends last to the one that ends first, as long as that helps."""
    while True:
        to_move = (plan.ends[0] - plan.ends[-1] - call) / 2
        others = [
            _planned([*(one for one in plan.pieces if one is not piece), *halves], lanes, weight)
            for piece in plan.last
            for halves in _cuts(piece, to_move / max(weight(piece) - call, 1e-9))
        ]
        best = min(others, key=lambda other: other.ends, default=plan)
        if best.ends >= plan.ends:
            return plan
        plan = best


def _planned(pieces: Sequence[Piece[Row]], lanes: int, weight: Callable[[Piece[Row]], float]) -> _Plan[Row]:
    free = [(0.0, lane) for lane in range(lanes)]
    runs: list[list[Piece[Row]]] = [[] for _ in range(lanes)]
    for piece in sorted(pieces, key=weight, reverse=True):
        at, lane = heappop(free)
        runs[lane].append(piece)
        heappush(free, (at + weight(piece), lane))
    free.sort(reverse=True)
    return _Plan(pieces=list(pieces), ends=[at for at, _ in free], last=runs[free[0][1]])


def _cuts(piece: Piece[Row], share: float) -> Iterator[tuple[Piece[Row], Piece[Row]]]:
    """`piece` without that share of its rows, and these: rounded down, and up."""
    rows = int(share * len(piece))
    for at in (len(piece) - rows, len(piece) - rows - 1):
        if 0 < at < len(piece):
            yield piece[:at], piece[at:]
