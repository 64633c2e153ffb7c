"""The best policy for Poisson arrivals that does not know the future: a semi-Markov decision process.

A state is how many items wait when the engine is free; an action is to run n of them, or none until the next
comes. By Little's law the mean latency is the average number of items in the system over the rate, so that
average is minimised, by Howard's policy iteration: one linear system for each policy on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log

import numpy as np
import numpy.typing as npt

from bench.simulation.cost import Linear
from bench.simulation.peers.waiting import Waiting
from bench.simulation.policy import Members

Vector = npt.NDArray[np.float64]
Sizes = npt.NDArray[np.int64]

#: States beyond this many waiting items count as this many. At a load of 0.95 and batches of 16, about thirty
#: are in the system on average.
MOST_WAITING = 400

#: Mean gaps between arrivals after which a policy that waits for the next no longer does: none may come. One
#: gap in twenty thousand is longer.
PATIENCE = 10

#: Policies after which the search gives up; it takes less than ten.
MOST_POLICIES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A policy, and the mean latency that it has."""

    sizes: Sizes
    """For each number of waiting items how many to run, 0 to wait: shape `[MOST_WAITING + 1]`."""
    mean_latency: float
    """Seconds, from enqueued to the end of the batch."""
    rate: float
    """Requests a second."""


def best_policy(rate: float, cost: Linear, largest: int) -> Answer:
    """The policy of least mean latency at `rate` requests a second, which must be below the capacity."""
    process = _Process(rate, cost, largest)
    sizes = _take_all(largest)
    for _ in range(MOST_POLICIES):
        average, values = process.evaluate(sizes)
        better = process.improve(sizes, average, values)
        if np.array_equal(better, sizes):
            return Answer(sizes=sizes, mean_latency=average / rate, rate=rate)
        sizes = better
    raise ArithmeticError(f"no best policy after {MOST_POLICIES} steps at {rate}/s")


def at_least(fewest: int, rate: float, cost: Linear, largest: int) -> Answer:
    """The policy that takes all that wait once `fewest` do, and its mean latency, without simulating."""
    sizes = _take_all(largest)
    sizes[:fewest] = 0
    average, _ = _Process(rate, cost, largest).evaluate(sizes)
    return Answer(sizes=sizes, mean_latency=average / rate, rate=rate)


def _take_all(largest: int) -> Sizes:
    return np.minimum(np.arange(MOST_WAITING + 1), largest)


class _Process:
    """Costs, durations and transitions: the first index is the action, 0 to wait, the second the state."""

    def __init__(self, rate: float, cost: Linear, largest: int) -> None:
        states, actions = np.arange(MOST_WAITING + 1), np.arange(largest + 1)
        durations = np.array([1 / rate, *(cost.of_size(int(size)) for size in actions[1:])])
        self.durations = durations
        # items in the system, integrated: those that wait or run for the whole time, and those that come
        self.costs = np.outer(durations, states) + (rate * durations**2 / 2)[:, None]
        self.costs[0] = states / rate
        self.possible = actions[:, None] <= states
        self.possible[0, -1] = False
        self.to = np.stack([_wait(), *(_run(int(size), rate * durations[size]) for size in actions[1:])])

    def evaluate(self, sizes: Sizes) -> tuple[float, Vector]:
        """The average number in the system, and how much worse each state is than the empty one."""
        count = len(sizes)
        states = np.arange(count)
        system = np.eye(count) - self.to[sizes, states]
        # the value of the empty state is 0, which leaves its column to the average
        system[:, 0] = self.durations[sizes]
        solution = np.linalg.solve(system, self.costs[sizes, states])
        return float(solution[0]), np.concatenate([[0.0], solution[1:]])

    def improve(self, sizes: Sizes, average: float, values: Vector) -> Sizes:
        """The policy that is best for one step; an action stays unless another is truly better."""
        scores = self.costs - average * self.durations[:, None] + self.to @ values
        scores[~self.possible] = np.inf
        states = np.arange(len(sizes))
        better = scores.min(axis=0) < scores[sizes, states] - 1e-9
        return np.where(better, scores.argmin(axis=0), sizes)


def _wait() -> Vector:
    """One more waits: shape `[states, states]`."""
    return np.asarray(np.eye(MOST_WAITING + 1, k=1))


def _run(size: int, expected: float) -> Vector:
    """`size` leave while a Poisson number come, `expected` on average: shape `[states, states]`."""
    coming = _poisson(expected)
    to = np.zeros((MOST_WAITING + 1, MOST_WAITING + 1))
    for state in range(size, MOST_WAITING + 1):
        left = state - size
        to[state, left:] = coming[: MOST_WAITING + 1 - left]
        to[state, -1] += 1 - to[state].sum()
    return to


def _poisson(expected: float) -> Vector:
    counts = range(MOST_WAITING + 1)
    return np.exp([count * log(expected) - expected - lgamma(count + 1) for count in counts])


class Tabled(Waiting):
    """Runs the policy of an `Answer`, so that it can be simulated on the same arrivals as the others."""

    def __init__(self, largest: int, answer: Answer) -> None:
        super().__init__(largest)
        self._sizes = answer.sizes.tolist()
        self._patience = PATIENCE / answer.rate

    def take(self, now: float, /) -> Members:
        """As many as the table says for what waits."""
        size = self._sizes[min(len(self.queue), MOST_WAITING)]
        if not size and self.queue and now >= self._gives_up_at():
            return self.cut()
        return tuple(self.queue.popleft() for _ in range(size))

    def wake_at(self) -> float | None:
        """When nothing more is expected: the table itself waits for arrivals only."""
        return self._gives_up_at() if self.queue else None

    def _gives_up_at(self) -> float:
        return self.queue[-1].enqueued_at + self._patience
