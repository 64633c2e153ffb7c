"""One engine, one policy, and the items that come: how long each took, in simulated time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from batching.item import Item
from bench.simulation.arrivals import Times
from bench.simulation.cost import Cost
from bench.simulation.policy import Members, Policy


class BrokenPolicy(RuntimeError):
    """A policy lost an item, ran one twice, or asked to be woken in the past."""


@dataclass(slots=True, kw_only=True)
class Run:
    """What came of one simulation."""

    enqueued_at: Times
    """Seconds, shape `[n_items]`."""
    ended_at: Times
    """When the batch of each item ended, NaN if the item was shed: seconds, shape `[n_items]`."""
    sizes: list[int] = field(default_factory=list)
    """Items in each batch, in the order in which they ran."""
    busy: float = 0.0
    """Seconds for which the engine ran."""

    @property
    def latencies(self) -> Times:
        """Seconds from enqueued to ended, shape `[n_items]`."""
        return self.ended_at - self.enqueued_at

    @property
    def unfinished(self) -> int:
        """Items that had not ended when the last was enqueued."""
        return int(np.count_nonzero(self.ended_at > self.enqueued_at[-1]))

    def of(self, chosen: npt.NDArray[np.bool_]) -> Run:
        """The same batches, seen by some of the items only: `chosen` has the shape `[n_items]`."""
        return replace(self, enqueued_at=self.enqueued_at[chosen], ended_at=self.ended_at[chosen])

    def record(self, members: Members, started_at: float, ended_at: float) -> None:
        """One batch has run."""
        for item in members:
            self.ended_at[item.id] = ended_at  # type: ignore[call-overload]  # ids count from 0
        self.sizes.append(len(members))
        self.busy += ended_at - started_at


def simulate(
    policy: Policy,
    items: Sequence[Item],
    cost: Cost,
    *,
    ready_at: Times | None = None,
    shed: Sequence[Item] = (),
) -> Run:
    """Run `items` through `policy`: one or more, by rising `enqueued_at`, with the ids 0, 1, 2 …

    Args:
        policy: told of each item when it is ready.
        items: what comes.
        cost: what the engine takes.
        ready_at: when each is ready to run, rising: shape `[n_items]`. None: when it is enqueued.
        shed: where the policy notes the items that it gives up.

    Raises:
        BrokenPolicy: an item neither ran exactly once nor was shed.
    """
    enqueued_at = np.array([item.enqueued_at for item in items])
    run = Run(enqueued_at=enqueued_at, ended_at=np.full(len(items), np.nan))
    to_come = deque(zip((enqueued_at if ready_at is None else ready_at).tolist(), items, strict=True))
    now = 0.0
    while True:
        members = policy.take(now)
        then = now + cost.seconds(members) if members else _next_event(policy, to_come, now)
        if then is None:
            break
        while to_come and to_come[0][0] <= then:
            policy.add(to_come.popleft()[1])
        if members:
            run.record(members, now, then)
            policy.ran(members, now, then)
        now = then
    _check_each_ran_once(run, len(shed))
    return run


def _next_event(policy: Policy, to_come: deque[tuple[float, Item]], now: float) -> float | None:
    """When something changes for an idle engine; None if nothing ever does."""
    wake_at = policy.wake_at()
    if wake_at is not None and wake_at <= now:
        raise BrokenPolicy(f"took nothing at {now} s, yet asked to be woken at {wake_at} s")
    events = [to_come[0][0]] if to_come else []
    if wake_at is not None:
        events.append(wake_at)
    return min(events, default=None)


def _check_each_ran_once(run: Run, shed: int) -> None:
    never = int(np.count_nonzero(np.isnan(run.ended_at)))
    ran = sum(run.sizes)
    if never != shed or ran + shed != len(run.ended_at):
        raise BrokenPolicy(
            f"of {len(run.ended_at)} items {never} never ran, {shed} were shed, and {ran} runs were counted"
        )
