"""Given items and the time, says which batch runs next.

The rules, each with a test of its name in `tests/batching/test_batcher.py`:

1. The caller asks when the engine is free, and only then are members bound to a batch.
2. Members share a key. Lower rank goes first, then the order in which they were enqueued, and several tenants
   of one rank in turn (`shares`); a forecast adds rules for urgency, deadlines and lengths (`members`).
3. A key may start once `min_batch_size` of its items wait, or an urgent one waits, or its oldest item
   has waited for the window since it was enqueued, or a deadline is near.
4. Of several keys that may start, one with an urgent item goes first, then the one with the oldest; but a
   key that has been ready while `MOST_OVERTAKING` other batches started goes before all others.
5. A batch takes as many as wait, up to `max_batch_size` or the smaller size that memory allows for its key,
   and up to `max_batch_seconds` of padded audio.
6. An item under suspicion runs alone, without waiting for anything.
7. With a forecast, a batch that is not full is held where the next of a burst is worth it (`bursts`), never
   beyond the window or a deadline.
8. Whoever knows when the engine will be free may have its next batch chosen ahead (`plan`). That binds
   nothing: it is chosen anew if anything comes or goes, if memory allows less, or at another time.
9. Whoever sees more than it holds may ask what of that should run next (`among`, `sight`).

Nothing here reads a clock: every call that depends on the time is given it, in seconds, on the same
clock as `Item.enqueued_at`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import count

from batching.batch import Batch, Reason
from batching.forecast import Forecast
from batching.item import URGENT, Item
from batching.limits import Limits, SizeCap
from batching.line import Line
from batching.members import Chosen, Situation, choose, first_come, ranks_of
from batching.outlook import AT_ONCE, Outlook
from batching.shares import Shares
from batching.windows import Room

#: Batches of other keys that may start before one that is ready as well. One batch in twenty is what a flood
#: of urgent work leaves to the rest, as of claims (`workers.transport.claims.CLAIMS_PER_TURN`).
MOST_OVERTAKING = 19

#: How far from its time a plan still holds, in seconds: ages and deadlines are hardly others then.
PLAN_HOLDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What would be chosen of a key for an engine that is free at that time."""

    at: float
    key: Hashable
    chosen: Chosen


class Batcher:
    """The items that wait, and the rules by which they leave. Not thread-safe.

    `cap` says what memory allows; whoever sees batches run tells it.
    """

    def __init__(self, limits: Limits, forecast: Forecast | None = None, cap: SizeCap | None = None) -> None:
        self.limits = limits
        self._cap = cap or SizeCap(limits.max_batch_size)
        self._outlook = Outlook(limits, forecast)
        self._arrivals = count()
        self._lines: dict[Hashable, Line] = {}
        self._keys: dict[Hashable, Hashable] = {}
        self._plan: _Plan | None = None
        #: How many are known to wait elsewhere for the next batch to be over; says whoever sees them.
        self.elsewhere = 0

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, item: Item) -> None:
        """Let `item` wait. Raises `ValueError` if an item of this id waits already."""
        if item.id in self._keys:
            raise ValueError(f"item {item.id!r} waits already")
        key = ("alone", item.id) if item.alone else item.key
        self._keys[item.id] = key
        if key not in self._lines:
            self._lines[key] = self._new_line()
        self._plan = None
        self._lines[key].add(item, next(self._arrivals))
        self._outlook.came(item)

    def discard(self, item_id: Hashable) -> None:
        """Forget an item, if it still waits."""
        key = self._keys.pop(item_id, None)
        if key is not None:
            self._plan = None
            self._lines[key].discard(item_id)
            self._drop_if_empty(key)

    def clear(self) -> None:
        """Forget every item, not what was learnt."""
        self._plan = None
        self._lines.clear()
        self._keys.clear()

    def plan(self, at: float) -> None:
        """Choose, while the engine runs, what it should run next if it is free at `at` (rule 8)."""
        ready = self._ready(at)
        if ready:
            key = min(ready, key=self._turn)
            self._plan = _Plan(at=at, key=key, chosen=self._choose(key, at))

    def among(self, others: Sequence[Item], at: float) -> list[Item] | None:
        """Those of `others` that would run next if they waited here, too, and the engine was free at `at`.

        None if nothing would. They are as they were afterwards: nothing is bound, and nothing learnt.
        """
        lines = dict(self._lines)
        for key, items in _by_key(others).items():
            lines[key] = (self._lines.get(key) or self._new_line()).beside(items, self._arrivals)
        seeing = copy(self)
        seeing._lines = lines
        ready = seeing._ready(at)
        if not ready:
            return None
        key = min(ready, key=seeing._turn)
        members = {id(lines[key].items[place]) for place in seeing._choose(key, at).places.tolist()}
        return [item for item in others if id(item) in members]

    def tells_apart(self, items: Sequence[Item]) -> bool:
        """Whether it matters which of these run together: else their order does as well as any choice."""
        first, costs = items[0], [item.cost for item in items]
        if any(
            item.key != first.key or item.tenant != first.tenant or item.deadline_at is not None
            for item in items
        ):
            return True
        known = self._outlook.known(first.key)
        rows = self.limits.max_batch_size
        return known is not None and known.duration.lengths_matter(rows, min(costs), max(costs))

    def take(self, now: float) -> Batch | None:
        """The batch that a free engine should run now, or None to wait for company."""
        ready = self._ready(now)
        if ready:
            return self._close(self._next_key(ready), now)
        for line in self._lines.values():
            line.was_held = True
        return None

    def wake_at(self) -> float | None:
        """When `take` has something to give if nothing else arrives; None if nothing waits."""
        return min((self._starts_at(key) for key in self._lines), default=None)

    def ran(self, batch: Batch, seconds: float) -> None:
        """The engine took so long for `batch`: with a forecast, learn from it."""
        self._outlook.ran(batch, seconds)

    def predicted(self, items: tuple[Item, ...]) -> float | None:
        """Seconds that the engine should take for these, which share a key; None if nothing is known yet."""
        known = self._outlook.known(items[0].key)
        if known is None:
            return None
        return known.duration.seconds(float(len(items)), max([item.cost for item in items]))

    def _new_line(self) -> Line:
        return Line(Shares(self.limits.tenant_weights))

    def _largest(self, key: Hashable) -> int:
        return min(self.limits.max_batch_size, self._cap.of(key, self._lines[key].items[-1].cost))

    def _starts_at(self, key: Hashable) -> float:
        line = self._lines[key]
        if line.is_urgent or line.is_alone or len(line) >= self._largest(key):
            return AT_ONCE
        starts_at = min(line.oldest_at + self.limits.max_batch_wait, self._outlook.latest_start(key, line))
        if len(line) < self.limits.min_batch_size:
            return starts_at
        return min(starts_at, self._outlook.hold_until(key, line))

    def _ready(self, now: float) -> list[Hashable]:
        return [key for key in self._lines if self._starts_at(key) <= now]

    def _turn(self, key: Hashable) -> tuple[bool, bool, float]:
        line = self._lines[key]
        return (line.overtaken < MOST_OVERTAKING, not line.is_urgent, line.oldest_at)

    def _next_key(self, ready: list[Hashable]) -> Hashable:
        """Rule 4; and who was ready as well has been overtaken once more."""
        first = min(ready, key=self._turn)
        for key in ready:
            self._lines[key].overtaken += 1
        self._lines[first].overtaken = 0
        return first

    def _close(self, key: Hashable, now: float) -> Batch:
        line, known = self._lines[key], self._outlook.known(key)
        chosen = self._planned(key, now) or self._choose(key, now)
        reason, longest = self._reason(line, chosen, self._largest(key)), line.items[chosen.places.max()].cost
        items = line.pop(chosen.places)
        self._plan, self.elsewhere = None, 0
        for item in items:
            del self._keys[item.id]
        self._drop_if_empty(key)
        predicted = None if known is None else known.duration.seconds(float(len(items)), longest)
        return Batch(items=items, reason=reason, closed_at=now, predicted=predicted)

    def _planned(self, key: Hashable, now: float) -> Chosen | None:
        plan = self._plan
        if plan is None or plan.key != key or abs(now - plan.at) > PLAN_HOLDS:
            return None
        return plan.chosen if len(plan.chosen.places) <= self._largest(key) else None

    def _choose(self, key: Hashable, now: float) -> Chosen:
        chosen = self._members(key, now)
        size = len(chosen.places)
        probe = self._outlook.probe(key, size)
        return chosen if probe == size else Chosen(places=chosen.places[:probe], rule=Reason.PROBE)

    def _members(self, key: Hashable, now: float) -> Chosen:
        line, known = self._lines[key], self._outlook.known(key)
        room = Room(rows=self._largest(key), seconds=self.limits.max_batch_seconds)
        ranks = ranks_of(line, now, known)
        if known is None:
            return first_come(line, line.in_turn(ranks), room)
        calm, rate = self._outlook.calm(line, known, now, room), self._outlook.rate
        return choose(
            Situation(
                line=line,
                ranks=ranks,
                now=now,
                room=room,
                calm=calm,
                known=known,
                rate=rate,
                elsewhere=self.elsewhere,
            )
        )

    def _reason(self, line: Line, chosen: Chosen, largest: int) -> Reason:
        size = len(chosen.places)
        if line.is_alone or self.limits.max_batch_size == 1:
            return Reason.ALONE
        if size >= largest:
            return Reason.FULL if largest == self.limits.max_batch_size else Reason.MEMORY
        if line.ranks[chosen.places].min() <= URGENT:
            return Reason.URGENT
        if size < len(line):
            return chosen.rule
        if size < self.limits.min_batch_size:
            return Reason.WINDOW
        return Reason.BURST if line.was_held else Reason.ENOUGH

    def _drop_if_empty(self, key: Hashable) -> None:
        if not self._lines[key]:
            del self._lines[key]


def _by_key(items: Sequence[Item]) -> dict[Hashable, list[Item]]:
    by_key: dict[Hashable, list[Item]] = {}
    for item in items:
        by_key.setdefault(item.key, []).append(item)
    return by_key
