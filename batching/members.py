"""Which of those that wait with one key run together.

Without a forecast: the lower rank first, then the order in which they were enqueued, as many as there is room
for. With one the first of these rules that applies chooses, and whoever costs nothing more rides along:

1. The oldest item, once `MOST_PASSED_BY` batches of its key in a row have left it behind.
2. Urgent items, in order; others ride along as far as the batch stays short (`urgent`).
3. Those of the first rank that can still meet their deadline, as many in time as possible (`deadlines`).
   Whoever cannot meet it any more goes behind all others.
4. Those of the first rank whose lengths are alike (`windows`), where lengths matter.
5. Those of the first rank in order.

To ride along an item must be no longer than the longest member, except beside urgent ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from batching.batch import Reason
from batching.deadlines import best_stretch
from batching.duration import Vector
from batching.forecast import Known
from batching.item import URGENT
from batching.line import Line, Places
from batching.windows import Room, best_window

#: Batches of its key in a row that may leave the oldest item behind. With the same number for other keys
#: (`batcher.MOST_OVERTAKING`) this bounds how often an item is overtaken, whatever comes.
MOST_PASSED_BY = 19

#: The rank of whoever cannot meet its deadline any more: behind all others.
DEMOTED = float("inf")

#: The rank after which there are only the demoted.
LAST = 1e9

#: Batches of the largest size, in order, among which lengths choose if several tenants wait. More would let a
#: tenant run whatever suits the others' lengths, and fewer would leave nothing to choose.
SEEN_IN_TURN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that the choice depends on."""

    line: Line
    """Those that wait."""
    ranks: Vector
    """See `ranks_of`."""
    now: float
    room: Room
    """How far a batch may grow."""
    calm: Room
    """How far one may grow that shall not keep urgent items waiting."""
    known: Known
    rate: float
    """Items of any key that come in a second."""
    elsewhere: int = 0
    """Items that wait where they cannot be chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The places of the members, and the rule by which they were chosen."""

    places: Places
    rule: Reason


def ranks_of(line: Line, now: float, known: Known | None) -> Vector:
    """The rank of each item, `DEMOTED` for those that would be late even by themselves."""
    if known is None or not line.has_deadlines:
        return line.ranks
    by_itself = known.late.seconds(np.ones(len(line)), line.lengths)
    return np.where(now + by_itself > line.deadlines, DEMOTED, line.ranks)


def first_come(line: Line, order: Places, room: Room) -> Chosen:
    """The first in `order` that there is room for."""
    places = _fill(line, order[:0], order, room)
    return Chosen(places=places, rule=Reason.FULL if len(places) == room.rows else Reason.SECONDS)


def choose(at: Situation) -> Chosen:
    """The members of the next batch, at least one."""
    chosen = _best(at)
    if chosen.rule is not Reason.URGENT and len(chosen.places) == at.calm.rows < at.room.rows:
        chosen = replace(chosen, rule=Reason.CALM)
    if at.line.passed_by < MOST_PASSED_BY or at.line.oldest in chosen.places:
        return chosen
    oldest = np.array([at.line.oldest])
    return Chosen(places=_fill(at.line, oldest, chosen.places, at.room), rule=Reason.TURN)


def _best(at: Situation) -> Chosen:
    first, front = _front(at)
    if first <= URGENT:
        return Chosen(places=_urgent(at, front), rule=Reason.URGENT)
    if at.line.has_deadlines and first < DEMOTED:
        hopeful = front[np.isfinite(at.line.deadlines[front])]
        if len(hopeful):
            return Chosen(places=_in_time(at, hopeful), rule=Reason.DEADLINE)
    if _lengths_matter(at):
        return Chosen(places=_with_riders(at, _alike(at, front), at.calm), rule=Reason.LENGTHS)
    return first_come(at.line, at.line.in_turn(at.ranks), at.calm)


def _front(at: Situation) -> tuple[float, Places]:
    """The first rank, and the places of those that have it."""
    if at.line.is_uniform:
        return at.line.first_rank, np.arange(len(at.line))
    first = float(at.ranks.min())
    return first, (at.ranks == first).nonzero()[0]


def _lengths_matter(at: Situation) -> bool:
    shortest, longest = at.line.items[0].cost, at.line.items[-1].cost
    return at.known.duration.lengths_matter(at.calm.rows, shortest, longest)


def _urgent(at: Situation, front: Places) -> Places:
    """The urgent ones, and others as long as the batch stays as small as it should."""
    order = at.line.in_turn(at.ranks)
    core = _fill(at.line, order[:0], order[: len(front)], at.room)
    return _fill(at.line, core, order[len(front) :], at.calm) if len(core) == len(front) else core


def _in_time(at: Situation, hopeful: Places) -> Places:
    """The stretch of deadlines that is best, and others if all of them are in it and stay in time."""
    by_deadline = hopeful[np.argsort(at.line.deadlines[hopeful], kind="stable")]
    slack = at.line.deadlines[by_deadline] - at.now
    begin, end = best_stretch(slack, at.line.lengths[by_deadline], at.known.late, at.calm)
    core = by_deadline[begin:end]
    if len(core) < len(hopeful):
        return core
    longest = float(at.line.lengths[core].max())
    rows = min(at.calm.rows, at.known.late.most(float(slack[begin]), longest))
    still_in_time = replace(at.calm, rows=int(max(len(core), rows)))
    return _with_riders(at, core, still_in_time)


def _alike(at: Situation, front: Places) -> Places:
    """The best window of lengths; several tenants' items are looked at in turn."""
    by_length = front
    if at.line.has_tenants:
        in_turn = at.line.in_turn(at.ranks)[: len(front)]
        by_length = np.sort(in_turn[: SEEN_IN_TURN * at.calm.rows])
    lengths, enqueued_at = at.line.lengths, at.line.enqueued_at
    if len(by_length) < len(lengths):
        lengths, enqueued_at = lengths[by_length], enqueued_at[by_length]
    begin, end = best_window(lengths, at.now - enqueued_at, at.known.duration, at.calm, at.rate, at.elsewhere)
    return by_length[begin:end]


def _with_riders(at: Situation, core: Places, room: Room) -> Places:
    """`core`, and whoever costs nothing more beside it; whoever is late anyway only beside its like."""
    if len(core) >= min(room.rows, len(at.line)):
        return core
    rides = (at.line.lengths <= at.line.lengths[core].max()) & (at.ranks <= max(at.ranks[core].max(), LAST))
    rides[core] = False
    if not rides.any():
        return core
    order = at.line.in_turn(at.ranks)
    return _fill(at.line, core, order[rides[order]], room)


def _fill(line: Line, core: Places, candidates: Places, room: Room) -> Places:
    """`core`, and the first of the candidates that there is room for; at least one."""
    if len(core) >= room.rows or not len(candidates):
        return core
    places = np.concatenate([core, candidates[: room.rows - len(core)]])
    if room.seconds < float("inf"):
        padded = np.arange(1, len(places) + 1) * np.maximum.accumulate(line.lengths[places])
        fits = int(np.argmax(np.append(padded > room.seconds, True)))
        places = places[: max(1, len(core), fits)]
    return places
