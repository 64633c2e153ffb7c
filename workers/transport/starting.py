"""A batch is about to start: what the script is told of each member, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from protocol.routing import LEASES, cancel_key, deaths_key, inflight_key, result_key
from workers.transport.settlement import place_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """A member of the batch."""

    tag: str
    request_id: str
    state: bytes | str
    """What a waiter may read while it runs."""


class May(StrEnum):
    """What becomes of a member."""

    RUN = "run"
    RUN_ALONE = "run alone"
    """Not in this batch: an engine has died of it, or of somebody with whom it ran."""
    NOT_AGAIN = "finished"
    NOT_ANY_MORE = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a member may do."""

    may: May
    deaths_alone: int = 0


def for_script(starters: Sequence[Starter], worker_id: str, seconds: int) -> tuple[list[str], list[Any]]:
    """Keys and arguments of `start.lua`; states are kept for `seconds`, 0 for ever."""
    keys: list[str] = [LEASES, inflight_key(worker_id)]
    arguments: list[Any] = [worker_id, seconds]
    for one in starters:
        keys += [result_key(one.request_id), cancel_key(one.request_id), deaths_key(one.request_id)]
        arguments += [place_of(one.tag, worker_id), one.request_id, one.state]
    return keys, arguments


def verdicts(answer: Sequence[bytes]) -> list[Verdict]:
    """What `start.lua` has answered."""
    return [_verdict(said.decode(), in_company=len(answer) > 1) for said in answer]


def _verdict(said: str, *, in_company: bool) -> Verdict:
    if said in (May.NOT_AGAIN, May.NOT_ANY_MORE):
        return Verdict(may=May(said))
    may = May.RUN_ALONE if said and in_company else May.RUN
    return Verdict(may=may, deaths_alone=int(said or 0))
