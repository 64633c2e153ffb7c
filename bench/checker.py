"""Judges a history: which promise was broken, and for which request.

The rules, of which each request must keep all:

1. *conservation*: what was accepted has an outcome; what was not has none.
2. *single truth*: a final result never changes, and all who read or hear of it have the same.
3. *no cross-talk*: a transcript is the one of the request's own audio.
4. *innocents*: nobody fails who has not asked for it: by its options, its `expires`, or a cancellation.
5. *honest producer*: what `submit` reports as accepted was accepted, and what it reports as refused was not.
6. *cancelled*: what was cancelled while it waited never runs, and what was not is not cancelled.
7. *expired*: what has expired does not run any more.

And all together:

8. *bounded work*: requests run once for each message, and once more for each batch that was interrupted.
9. *at rest*: nothing is left in the queue or with a worker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bench.history import Event, Phase, What, is_success

#: By how much a worker's clock and Redis's may differ on one machine, and how long it may take from the
#: closing of a batch to the look at who has expired, in seconds; half of the shortest `expires` in use.
CLOCK_SLACK = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that was broken."""

    rule: str
    request_id: str
    """Empty if it is nobody's in particular."""
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the history itself does not say."""

    batch: int
    """Most requests in a batch."""
    interruptions: int
    """Batches that may have been interrupted."""
    left: int = 0
    """Messages in the queue and in workers' records when all was over."""


@dataclass(slots=True)
class Story:
    """All events of one request, by what they are about."""

    request_id: str
    events: defaultdict[What, list[Event]] = field(default_factory=lambda: defaultdict(list))

    def phases(self, what: What) -> set[Phase]:
        """How far its operations of this kind came."""
        return {event.phase for event in self.events[what]}

    @property
    def expected(self) -> set[str]:
        """The outcomes that its submits ask for, except those that were refused."""
        submits = self.events[What.SUBMIT]
        refused = {event.value for event in submits if event.phase is Phase.FAIL}
        accepted = {event.value for event in submits if event.phase is Phase.OK}
        return {event.value for event in submits} - (refused - accepted)

    @property
    def expires(self) -> float | None:
        """How soon it expires, in seconds."""
        return next((one.seconds for one in self.events[What.SUBMIT] if one.seconds is not None), None)

    @property
    def ends(self) -> list[Event]:
        """Whatever says how it ended."""
        return [*self.events[What.STORED], *self.events[What.TOLD], *self.events[What.READ]]

    @property
    def outcomes(self) -> set[str]:
        """How it ended, according to anybody."""
        return {event.value for event in self.ends}


def stories(events: Iterable[Event]) -> list[Story]:
    """The events of each request."""
    found: dict[str, Story] = {}
    for event in events:
        story = found.setdefault(event.request_id, Story(event.request_id))
        story.events[event.what].append(event)
    return list(found.values())


def violations(told: Sequence[Story], bounds: Bounds) -> list[Violation]:
    """Every rule that was broken, by whom it befell."""
    found = [
        Violation(rule=rule, request_id=story.request_id, how=how)
        for story in told
        for rule, look in RULES.items()
        for how in look(story)
    ]
    return [*found, *_together(told, bounds)]


def _together(told: Sequence[Story], bounds: Bounds) -> Iterator[Violation]:
    again = sum(max(0, len(one.events[What.RUN]) - len(one.events[What.ACCEPTED])) for one in told)
    most = bounds.interruptions * bounds.batch
    if again > most:
        how = f"{again} executions beyond one for each message, interruptions account for {most}"
        yield Violation(rule="bounded work", request_id="", how=how)
    if bounds.left:
        yield Violation(rule="at rest", request_id="", how=f"{bounds.left} messages are left")


def _conservation(story: Story) -> Iterator[str]:
    accepted = bool(story.events[What.ACCEPTED])
    if accepted and not story.ends:
        yield "was accepted and has no outcome"
    if story.ends and not accepted:
        yield f"was never accepted and ended as {', '.join(sorted(story.outcomes))}"
    if story.events[What.RUN] and not accepted:
        yield "was never accepted and ran"


def _single_truth(story: Story) -> Iterator[str]:
    promised = {event.value for event in story.events[What.SUBMIT] if event.phase is Phase.OK}
    if len(promised) > 1:
        yield f"accepted with {len(promised)} contents"
    ends = {(event.value, event.by) for event in story.ends}
    if len(ends) > 1:
        ways = ", ".join(" in ".join(filter(None, end)) for end in sorted(ends))
        yield f"ended in {len(ends)} ways: {ways}"


def _no_cross_talk(story: Story) -> Iterator[str]:
    for outcome in filter(is_success, story.outcomes):
        if outcome not in story.expected:
            yield f"got {outcome}, expected {', '.join(sorted(story.expected))}"


def _innocents(story: Story) -> Iterator[str]:
    asked_for = {"CANCELLED"} if story.events[What.CANCEL] else set()
    if story.expires is not None:
        asked_for.add("EXPIRED")
    for outcome in story.outcomes - story.expected - asked_for:
        if not is_success(outcome):
            yield f"ended as {outcome}, expected {', '.join(sorted(story.expected))}"


def _honest_producer(story: Story) -> Iterator[str]:
    heard = story.phases(What.SUBMIT)
    accepted = bool(story.events[What.ACCEPTED])
    if Phase.OK in heard and not accepted:
        yield "submit says that it was accepted, and it was not"
    if accepted and heard == {Phase.INVOKE, Phase.FAIL}:
        yield "submit says that it was refused, and it was accepted"


def _cancelled(story: Story) -> Iterator[str]:
    heard = story.phases(What.CANCEL)
    if Phase.OK in heard and story.events[What.RUN]:
        yield "was cancelled while it waited, and ran"
    if Phase.OK in heard and any(map(is_success, story.outcomes)):
        yield "was cancelled while it waited, and has a transcript"
    if heard == {Phase.INVOKE, Phase.FAIL} and "CANCELLED" in story.outcomes:
        yield "was too late to be cancelled, and was"


def _expired(story: Story) -> Iterator[str]:
    runs = len(story.events[What.RUN])
    broken_off = max(len(story.events[What.RETURNED]), len(story.events[What.DIED]))
    if "EXPIRED" in story.outcomes and runs > broken_off:
        yield "had expired, and ran"
    for end in story.ends:
        if story.expires is not None and (end.seconds or 0.0) > story.expires + CLOCK_SLACK:
            yield f"ran after {end.seconds:.2f} s, and expired after {story.expires:.2f} s"


#: What each request must keep, by name; each rule says how it was broken, if it was.
RULES: dict[str, Callable[[Story], Iterator[str]]] = {
    "conservation": _conservation,
    "single truth": _single_truth,
    "no cross-talk": _no_cross_talk,
    "innocents": _innocents,
    "honest producer": _honest_producer,
    "cancelled": _cancelled,
    "expired": _expired,
}
