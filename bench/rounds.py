"""Things compared in one run: each round runs every one of them once, so that all meet the same noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Timed(Generic[Answer]):
    """One thing over all rounds."""

    seconds: float
    """Median of the rounds."""
    answer: Answer
    """What it gave in the last round."""


def interleaved(
    things: Mapping[Name, Callable[[], Answer]],
    rounds: int,
    *,
    say: Callable[[str], object],
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, Timed[Answer]]:
    """Run every thing once a round, every other round backwards, so that none always follows the same.

    Args:
        things: what to run, by name.
        rounds: how often; one at least.
        say: told which thing is next.
        clock: seconds.
    """
    seconds: dict[Name, list[float]] = {name: [] for name in things}
    answers: dict[Name, Answer] = {}
    for number in range(rounds):
        for name in list(things)[:: -1 if number % 2 else 1]:
            say(f"round {number + 1} of {rounds}: {name}")
            started_at = clock()
            answers[name] = things[name]()
            seconds[name].append(clock() - started_at)
    return {name: Timed(seconds=median(seconds[name]), answer=answers[name]) for name in things}
