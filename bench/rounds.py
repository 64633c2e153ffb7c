"""Things compared in one run: each round runs every one of them once, so that all meet the same noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Spent(Generic[Answer]):
    """What one run of a thing took, and gave."""

    seconds: float
    """By the clock."""
    cpu_seconds: float
    """Of all threads of the process together."""
    answer: Answer


@dataclass(frozen=True, kw_only=True)
class Timed(Generic[Answer]):
    """One thing over all rounds."""

    runs: Sequence[Spent[Answer]]
    """In the order of the rounds; one at least."""

    @property
    def answer(self) -> Answer:
        """What it gave in the last round."""
        return self.runs[-1].answer

    @property
    def seconds(self) -> float:
        """Median of the rounds, by the clock."""
        return median(run.seconds for run in self.runs)

    @property
    def cpu_seconds(self) -> float:
        """Median of the rounds, of all threads."""
        return median(run.cpu_seconds for run in self.runs)

    def times_faster(self, other: Timed[Any]) -> float:
        """Than `other` by the clock: median of the rounds' own ratios, since both met the same noise."""
        return median(slow.seconds / ours.seconds for ours, slow in zip(self.runs, other.runs, strict=True))

    def times_cheaper(self, other: Timed[Any]) -> float:
        """Than `other` in processor time, which a busy machine distorts less; likewise."""
        return median(
            slow.cpu_seconds / ours.cpu_seconds for ours, slow in zip(self.runs, other.runs, strict=True)
        )


def spent(
    thing: Callable[[], Answer],
    clock: Callable[[], float] = time.perf_counter,
    cpu_clock: Callable[[], float] = time.process_time,
) -> Spent[Answer]:
    """Run `thing` here. Both clocks give seconds."""
    started_at, cpu_before = clock(), cpu_clock()
    answer = thing()
    return Spent(cpu_seconds=cpu_clock() - cpu_before, seconds=clock() - started_at, answer=answer)


def interleaved(
    things: Mapping[Name, Callable[[], Spent[Answer]]],
    rounds: int,
    *,
    say: Callable[[str], object],
    pause: float = 0.0,
) -> dict[Name, Timed[Answer]]:
    """Run every thing once a round, every other round backwards, so that none always follows the same.

    Args:
        things: what to run and measure, by name.
        rounds: how often; one at least.
        say: told which thing is next.
        pause: seconds to wait before each, where one leaves threads behind that spin on for a while.
    """
    runs: dict[Name, list[Spent[Answer]]] = {name: [] for name in things}
    for number in range(rounds):
        for name in list(things)[:: -1 if number % 2 else 1]:
            say(f"round {number + 1} of {rounds}: {name}")
            time.sleep(pause)
            runs[name].append(things[name]())
    return {name: Timed(runs=runs[name]) for name in things}
