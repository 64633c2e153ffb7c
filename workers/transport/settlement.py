"""What one batch writes in one step: results, acknowledgements, and the audio that goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol.request import Priority
from protocol.routing import (
    CONVERSATION_SECONDS,
    HELD,
    HELD_BYTES,
    LEASES,
    RATES,
    context_key,
    inflight_key,
    payload_key,
    queue_key,
    turn_key,
    waiting_key,
)
from workers.transport.dead import DEAD_REQUESTS, DEAD_REQUESTS_KEPT, DEAD_SECONDS, dead_key

#: How much text of a conversation is kept, in bytes of UTF-8: 18 for each of the 223 tokens that fit into
#: Whisper's prompt, where English has some 4 and no script more than 9 on average.
CONTEXT_BYTES = 4_096

_LANES = tuple(queue_key(priority) for priority in Priority)

_KEPT = (CONTEXT_BYTES, CONVERSATION_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a waiter will read, and for how many seconds it is kept."""

    key: str
    value: bytes | str = field(repr=False)
    ttl: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """Audio that nobody wants again: whose, and the number of the priority under which it was accepted."""

    request_id: str
    priority_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """A request that is kept, with its audio, for an operator to look at."""

    request_id: str
    tag: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A request that has ended and was a turn of a conversation; the next one may go."""

    conversation: str
    request_id: str
    text: str = field(default="", repr=False)
    """What it adds to the context, if anything."""
    begins_anew: bool = False
    """Whether nothing of what was said before is to be heard of any more."""


@dataclass(slots=True, kw_only=True)
class Settlement:
    """Everything that happens in the step."""

    results: list[Result] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    """Of the messages that are done with."""
    audios: list[Audio] = field(default_factory=list)
    given_up: list[GivenUp] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Keys to remove besides."""
    rate: float | None = None
    """Requests that this worker gets through in a second while its engine is busy; None if not known yet."""

    def for_script(self, worker_id: str) -> tuple[list[str], list[Any]]:
        """Keys and arguments of `settle.lua`; messages of this worker's earlier lives are left out."""
        keys = [LEASES, inflight_key(worker_id), RATES, HELD, HELD_BYTES, DEAD_REQUESTS, *_LANES]
        arguments: list[Any] = [worker_id, "" if self.rate is None else f"{self.rate:.3f}"]
        arguments += [len(self.results), len(self.audios), len(self.given_up)]
        arguments += [DEAD_SECONDS, DEAD_REQUESTS_KEPT, len(_LANES), len(self.turns), *_KEPT]
        for result in self.results:
            keys.append(result.key)
            arguments += [result.value, result.ttl]
        for audio in self.audios:
            keys.append(payload_key(audio.request_id))
            arguments += [audio.request_id, audio.priority_number]
        for one in self.given_up:
            keys += [dead_key(one.request_id), payload_key(one.request_id)]
            arguments += [one.request_id, place_of(one.tag, worker_id), one.reason]
        keys += _keys_of(self.turns)
        arguments += _arguments_of(self.turns)
        return [*keys, *self.others], [*arguments, *self.places(worker_id)]

    def places(self, worker_id: str) -> list[str]:
        """Where its messages are in the in-flight record of `worker_id`."""
        return [place for tag in self.tags if (place := place_of(tag, worker_id))]


def for_end_turns(turns: Sequence[Turn]) -> tuple[list[str], list[Any]]:
    """Keys and arguments of `end_turns.lua`."""
    return [*_LANES, *_keys_of(turns)], [len(_LANES), *_KEPT, *_arguments_of(turns)]


def _keys_of(turns: Sequence[Turn]) -> list[str]:
    return [key(turn.conversation) for turn in turns for key in (turn_key, waiting_key, context_key)]


def _arguments_of(turns: Sequence[Turn]) -> list[Any]:
    return [part for turn in turns for part in (turn.request_id, turn.text, int(turn.begins_anew))]


def place_of(tag: str, worker_id: str) -> str:
    """The field of an in-flight record that a tag names; empty if it is not in that of `worker_id`."""
    claimed_by, _, place = tag.partition("/")
    return place if claimed_by == worker_id else ""
