"""A process of its own for what is measured, so that nothing done for another reaches it.

An engine of ours sets up the allocator of its process; what it is compared with must not gain by that.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import TracebackType
from typing import Self, TypeVar

from bench.rounds import Spent, spent

Answer = TypeVar("Answer")


class Apart:
    """A process that runs one thing at a time and says what it spent. Ends with the block."""

    def __init__(self) -> None:
        # A fork would begin with all that this process has loaded and set up.
        self._process = ProcessPoolExecutor(1, mp_context=get_context("spawn"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.shutdown()

    def run(self, thing: Callable[[], Answer]) -> Spent[Answer]:
        """Run `thing`, which can be pickled, over there; raises what it raises."""
        return self._process.submit(spent, thing).result()
