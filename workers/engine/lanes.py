"""Threads side by side, each running rows through the model on one core.

CTranslate2 can share one call out among threads, or make several calls at once. The second is better on a
CPU: threads of one call wait for each other after every product, and a small model's products are short.
Rows are independent, so a batch is cut into pieces, and the pieces run side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

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


def pieces_of(groups: Sequence[Piece[Row]], lanes: int, cost: Callable[[Row], float]) -> list[Piece[Row]]:
    """`groups` cut so that no piece keeps one lane busy while others have nothing left to do.

    No piece has more than its lane's share of all rows. The most expensive comes first: whichever lane is
    free takes the next, and short work at the end leaves the least waiting.

    Args:
        groups: rows that may share a call.
        lanes: how many pieces can run at once.
        cost: of a row, in any unit.
    """
    share = -(-sum(map(len, groups)) // lanes)
    pieces = [group[start : start + share] for group in groups for start in range(0, len(group), share)]
    return sorted(pieces, key=lambda piece: -sum(map(cost, piece)))
