"""Requests that have no result yet: what to ask for, which have ended, how long until the next look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from producer.exchange import Exchange
from producer.results import Outcome, endings, outcomes, result_expired
from protocol.errors import RequestError, ResultTimeout, TranscriptionError
from protocol.transcript import Status, Transcript

#: How long a waiter waits if it does not say, in seconds.
DEFAULT_TIMEOUT = 600.0

#: Pause between two looks at many results, in seconds: grows while nothing comes.
PAUSE_MIN, PAUSE_MAX = 0.005, 0.1

#: How long the pauses until the next thorough look are together, in seconds: at least, and for each request
#: that is waited for. A request of which nothing is kept is so rare that a second does not matter.
THOROUGH_AFTER, THOROUGH_AFTER_EACH = 1.0, 1e-3

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many requests have ended, and how many there are."""


class Known(Protocol):
    """What has a request id."""

    @property
    def request_id(self) -> str:
        """By which its result is known."""


Held = TypeVar("Held", bound=Known)


class Looks:
    """Which look is the next one: a cheap one nearly always. Does no I/O."""

    def __init__(self) -> None:
        self._paused = 0.0

    def next(self, request_ids: Sequence[str]) -> Exchange[list[Outcome | None]]:
        """What to ask of these requests."""
        if self._paused < max(THOROUGH_AFTER, THOROUGH_AFTER_EACH * len(request_ids)):
            return outcomes(request_ids)
        self._paused = 0.0
        return endings(request_ids)

    def pause(self, seconds: float) -> None:
        """So long it is until then."""
        self._paused += seconds


class Pending(Generic[Held]):
    """The tickets that are waited for. Does no I/O."""

    def __init__(self, tickets: Iterable[Held]) -> None:
        self._waiting = {ticket.request_id: ticket for ticket in tickets}
        self._total = len(self._waiting)
        self._looks = Looks()
        self.pause = PAUSE_MIN
        """Seconds until the next look is due."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def look(self) -> Exchange[list[Outcome | None]]:
        """What to ask now."""
        return self._looks.next(list(self._waiting))

    def ended(self, found: Sequence[Outcome | None]) -> list[tuple[Held, Outcome]]:
        """The tickets that have ended, by what the look has found."""
        at_once = [(name, one) for name, one in zip(self._waiting, found, strict=True) if one is not None]
        self.pause = PAUSE_MIN if at_once else min(2 * self.pause, PAUSE_MAX)
        self._looks.pause(self.pause)
        return [(self._waiting.pop(name), one) for name, one in at_once]

    def too_late(self) -> ResultTimeout:
        """The error for those that are left."""
        return ResultTimeout(f"{len(self._waiting)} of {self._total} requests have no result yet")


def in_order(tickets: Iterable[Known], ended: Mapping[str, Outcome]) -> list[Outcome]:
    """The outcome of each ticket."""
    return [ended[ticket.request_id] for ticket in tickets]


def all_well(found: Iterable[Outcome]) -> list[Transcript]:
    """The transcripts; raises the first error instead, if there is one."""
    transcripts = []
    for one in found:
        if isinstance(one, TranscriptionError):
            raise one
        transcripts.append(one)
    return transcripts


def in_place(entries: Iterable[Known | TranscriptionError], ended: Mapping[str, Outcome]) -> list[Outcome]:
    """The outcome of each entry: what it is already, what it ended with, or that it has not ended."""
    found: list[Outcome] = []
    for entry in entries:
        if isinstance(entry, TranscriptionError):
            found.append(entry)
        else:
            found.append(ended.get(entry.request_id) or no_result_yet(entry.request_id))
    return found


def no_result_yet(request_id: str) -> ResultTimeout:
    """The error for a request that has not ended in time."""
    return ResultTimeout(f"no result for request {request_id} in time; it goes on")


def no_result(request_id: str, status: Status, timeout: float) -> TranscriptionError:
    """Why there is none after `timeout` seconds of waiting, by where the request is."""
    if status is Status.EXPIRED:
        return result_expired(request_id)
    within = f" within {timeout:g} s" if timeout > 0 else ""
    if status is Status.UNKNOWN:
        return RequestError(f"nobody has heard of request {request_id}{within}", "UNKNOWN_ID")
    return ResultTimeout(f"no result for request {request_id}{within}; it is {status}")
