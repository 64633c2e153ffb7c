"""A load under a nemesis that kills, freezes and cuts, and a ledger of what became of every request.

An open loop submits seeded audio segments to workers with the fake engine, whose answer is a
fingerprint of the audio, so that a result given to the wrong request is caught. Meanwhile the nemesis
strikes at seeded moments. When the last result is in, the history of it all is judged.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import redis

from bench.checker import Bounds, Story, Violation, stories, violations
from bench.crew import BATCH, SETTLE_SECONDS, Crew
from bench.history import History, What, is_success
from bench.load import Load
from bench.nemesis import Nemesis
from bench.recovery import LOOK_EVERY_SECONDS, Durations, Recoveries
from bench.resuming import PROBE, Resuming
from bench.storm import Plan
from bench.told import Told
from bench.witness import events_in, keep_everything, messages_left
from cli.local_redis import LocalRedis

#: Name of the history in the folder of a run.
HISTORY = "history.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How long requests that were hit took until they had their results, in seconds."""

    hits: int
    p50: float
    p100: float
    p100_once: float | None
    """Of those after which nothing else struck; others lost several workers in a row, each with its lease."""
    released_p100_once: float | None = None
    """Until none of them was on record as running where it had been hit, if nothing else struck."""
    again_p100_once: float | None = None
    """Until all of them had begun to run again, if nothing else struck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long requests waited that got their transcripts, from the submit until it was told, in seconds."""

    p50: float
    p99: float
    p100: float


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What became of the requests."""

    submitted: int = 0
    accepted: int = 0
    """The others were never answered, and had not arrived."""
    succeeded: int = 0
    failed: int = 0
    """As their options ask for."""
    gave_up: int = 0
    """As their options ask for, after their engine had died of them."""
    cancelled: int = 0
    expired: int = 0
    lost: int = 0
    """Accepted, and without an outcome though nothing is struck any more."""
    doubled: int = 0
    """With more than one outcome."""
    wrong: int = 0
    """With a result that belongs to other audio."""
    executions: int = 0
    recomputed: int = 0
    """Executions beyond the first of each request."""
    worker_exits: int = 0
    """Workers that nobody struck, and that ended."""
    seconds: float = 0.0
    waits: Waits | None = None
    """Of innocents, whoever else is poison; None if nobody was told of a transcript."""
    waits_again: Waits | None = None
    """The same of those that ran more than once: their worker was struck, or their engine died of another."""
    strikes: dict[str, int] = field(default_factory=dict)
    recovery: dict[str, Recovery] = field(default_factory=dict)
    resumed: dict[str, float] = field(default_factory=dict)
    """By kind of fault, the longest time from its end until an urgent request had its result, in seconds."""
    crashes_each: int = 0
    """Most deaths of engines or workers under one request that they die of."""
    innocents_failed: int = 0
    violations: list[Violation] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not self.violations and not self.worker_exits


def run(plan: Plan, server: LocalRedis, folder: Path) -> Ledger:
    """Run the plan on `server`, which is ours alone and empty; the history and all logs go to `folder`."""
    began_at = time.monotonic()
    with ExitStack() as stack:
        client = stack.enter_context(redis.Redis.from_url(server.url))
        keep_everything(server)
        history = stack.enter_context(History(folder / HISTORY))
        load = stack.enter_context(closing(Load(plan, server.url, history)))
        recoveries = stack.enter_context(Recoveries(server.url, load.poison))
        crew = stack.enter_context(Crew(server.url, folder, plan.workers))
        stack.enter_context(Told(server.url, history))
        with Resuming(server.url) as resuming:
            nemesis = Nemesis(plan, crew, server, recoveries, resuming)
            nemesis.start()
            load.submit()
            nemesis.join()
            load.read()
        crew.revive()
        bounds = Bounds(batch=BATCH, interruptions=plan.interruptions, left=_left_at_rest(client))
        history.add(events_in(server.folder))
    resuming.read(history.events)
    told = [story for story in stories(history.events) if not story.request_id.startswith(PROBE)]
    ledger = account(told, bounds)
    ledger.resumed = {str(kind): round(max(each), 2) for kind, each in resuming.seconds.items()}
    ledger.worker_exits = crew.exits
    ledger.seconds = round(time.monotonic() - began_at, 1)
    ledger.strikes = {str(kind): number for kind, number in nemesis.struck.items()}
    ledger.recovery = {str(kind): _recovery(found) for kind, found in recoveries.found.items()}
    return ledger


def account(told: Sequence[Story], bounds: Bounds) -> Ledger:
    """The ledger of a history."""
    broken = violations(told, bounds)
    rules = Counter(one.rule for one in {(one.rule, one.request_id): one for one in broken}.values())
    ends = Counter(_end(story) for story in told)
    executions = sum(len(story.events[What.RUN]) for story in told)
    return Ledger(
        submitted=sum(bool(story.events[What.SUBMIT]) for story in told),
        accepted=sum(bool(story.events[What.ACCEPTED]) for story in told),
        succeeded=ends["SUCCESS"],
        failed=ends["BAD_REQUEST"] + ends["ENGINE_ERROR"],
        gave_up=ends["GAVE_UP"],
        cancelled=ends["CANCELLED"],
        expired=ends["EXPIRED"],
        lost=sum(bool(story.events[What.ACCEPTED]) and not story.ends for story in told),
        doubled=rules["single truth"],
        wrong=rules["no cross-talk"],
        executions=executions,
        recomputed=executions - sum(bool(story.events[What.RUN]) for story in told),
        waits=_waits(told),
        waits_again=_waits([story for story in told if len(story.events[What.RUN]) > 1]),
        violations=broken,
        crashes_each=max(
            (len(one.events[What.DIED]) for one in told if "GAVE_UP" in one.expected), default=0
        ),
        innocents_failed=rules["innocents"],
    )


def _end(story: Story) -> str:
    """How a request ended: one word for all transcripts."""
    outcome = min(story.outcomes, default="")
    return "SUCCESS" if is_success(outcome) else outcome


def _wait(story: Story) -> float | None:
    """Seconds until its transcript was told, if both are known."""
    asked = [one.at for one in story.events[What.SUBMIT] if one.at is not None]
    told = [one.at for one in story.events[What.TOLD] if one.at is not None and is_success(one.value)]
    return min(told) - min(asked) if asked and told else None


def _waits(told: Sequence[Story]) -> Waits | None:
    ordered = sorted(wait for story in told if (wait := _wait(story)) is not None)
    if not ordered:
        return None
    p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    return Waits(p50=round(p50, 3), p99=round(p99, 3), p100=round(ordered[-1], 3))


def _left_at_rest(client: redis.Redis) -> int:
    """Messages that stay although every result is there: a copy may be the last to be looked at."""
    give_up_at = time.monotonic() + SETTLE_SECONDS
    while (left := messages_left(client)) and time.monotonic() < give_up_at:
        time.sleep(LOOK_EVERY_SECONDS)
    return left


def _recovery(found: Durations) -> Recovery:
    ordered = sorted(found.done)
    return Recovery(
        hits=len(ordered),
        p50=round(ordered[len(ordered) // 2], 2),
        p100=round(ordered[-1], 2),
        p100_once=_longest(found.done_once),
        released_p100_once=_longest(found.released_once),
        again_p100_once=_longest(found.again_once),
    )


def _longest(seconds: Sequence[float]) -> float | None:
    return round(max(seconds), 2) if seconds else None
