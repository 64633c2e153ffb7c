"""What a storm is to show, row by row: the figure that was aimed at, and the one that was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.crew import BATCH, BATCH_SECONDS
from bench.faults import Ledger
from bench.storm import Plan, Strike

#: Until a dead worker's requests run elsewhere, beside the batch that keeps the others busy: a lease of 4 s,
#: a sweep each 0.5 s, and a claim.
ELSEWHERE_SECONDS = 5.0

#: Until what a dead engine ran is anybody's again.
RELEASE_SECONDS = 0.5

#: From the end of a fault until work goes on; and where nothing but junk was in the way.
RESUME_SECONDS = 2.0
NEXT_SECONDS = 0.5

#: Deaths of engines that a request may cause: one in company, two alone.
CRASHES = 3

#: How long an innocent may wait beside poison, when nothing else strikes.
INNOCENT_SECONDS = 10.0

_RESUMING = {
    Strike.JUNK: NEXT_SECONDS,
    Strike.FILL: NEXT_SECONDS,
    Strike.NO_DISK: RESUME_SECONDS,
    Strike.REDIS_KILL: RESUME_SECONDS,
    Strike.PAUSE: RESUME_SECONDS,
    Strike.PARTITION: RESUME_SECONDS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One row."""

    what: str
    most: float
    found: float

    @property
    def is_reached(self) -> bool:
        """Whether what was found is no more than what was aimed at."""
        return self.found <= self.most


def aims(plan: Plan, ledger: Ledger) -> list[Aim]:
    """The rows about which this storm says anything."""
    return [Aim(what=what, most=most, found=found) for what, most, found in _rows(plan, ledger)]


def _rows(plan: Plan, ledger: Ledger) -> Iterator[tuple[str, float, float]]:
    yield "requests lost, doubled or wrong", 0, ledger.lost + ledger.doubled + ledger.wrong
    yield "innocents failed", 0, ledger.innocents_failed
    yield "workers that ended by themselves", 0, ledger.worker_exits
    yield "executions beyond the first", plan.interruptions * BATCH + plan.copies, ledger.recomputed
    for strike in (Strike.KILL, Strike.FREEZE):
        again = _once(ledger, strike, "again_p100_once")
        if again is not None:
            yield f"{strike}: all run elsewhere, s", ELSEWHERE_SECONDS + BATCH_SECONDS, again
    released = _once(ledger, Strike.ENGINE_KILL, "released_p100_once")
    if released is not None:
        yield f"{Strike.ENGINE_KILL}: its batch released, s", RELEASE_SECONDS, released
    for kind, most in _RESUMING.items():
        if kind in ledger.resumed:
            whose = "its first result" if kind is Strike.PARTITION else "the next good result"
            yield f"{kind}: {whose} after it, s", most, ledger.resumed[kind]
    if ledger.gave_up:
        yield "deaths of one poison", CRASHES, ledger.crashes_each
    others = sum(number for strike, number in plan.strikes.items() if strike is not Strike.JUNK)
    if ledger.gave_up and not others and ledger.waits_again:
        yield "innocents that ran again: until their transcript, s", INNOCENT_SECONDS, ledger.waits_again.p100


def _once(ledger: Ledger, strike: Strike, name: str) -> float | None:
    recovery = ledger.recovery.get(strike)
    found: float | None = getattr(recovery, name, None)
    return found
