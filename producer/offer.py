"""A chunk of requests on its way to the queue: what has no room yet is offered again, one by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import redis
import redis.asyncio

from producer.admission import Verdict, acceptance, parcels
from producer.exchange import run, run_awaited
from producer.submission import Envelope
from protocol.errors import Overloaded, TranscriptionError

Sealed: TypeAlias = Envelope | TranscriptionError
"""A request, or why it cannot be sent."""


class Offer:
    """What becomes of each request of a chunk. Does no I/O."""

    def __init__(self, sealed: Sequence[Sealed]) -> None:
        self.entries: list[Sealed] = list(sealed)
        """Each envelope, or the error that has taken its place."""
        self._refused: dict[int, Overloaded] = {}
        self._due = [at for at, one in enumerate(sealed) if isinstance(one, Envelope)]
        self._retry_after = 0.0

    @property
    def due(self) -> list[Envelope]:
        """What to offer now: first all, then the first of those without room; none when all is decided."""
        return [one for one in map(self.entries.__getitem__, self._due) if isinstance(one, Envelope)]

    def answer(self, verdicts: list[Verdict]) -> None:
        """What became of each that was due."""
        self._retry_after = 0.0
        for at, verdict in zip(self._due, verdicts, strict=True):
            self._refused.pop(at, None)
            if isinstance(verdict, Overloaded) and has_room_later(verdict):
                self._refused[at] = verdict
                self._retry_after = self._retry_after or verdict.retry_after
            elif verdict is not None:
                self.entries[at] = verdict
        self._due = [min(self._refused)] if self._refused else []

    def pause(self, left: float) -> float:
        """Seconds until what is due should be offered, of `left` that there are; none left ends it all."""
        if left <= 0:
            for at, refusal in self._refused.items():
                self.entries[at] = refusal
            self._refused, self._due = {}, []
        return min(self._retry_after, max(0.0, left))


def offer_once(
    connection: redis.Redis, envelopes: Iterable[Envelope], max_queued: int | None
) -> list[Verdict]:
    """Enqueue what may be; what became of each. Raises `QueueUnreachable`."""
    verdicts: list[Verdict] = []
    for parcel in parcels(envelopes):
        if refusal := _refused_turn(parcel, verdicts):
            verdicts += [refusal] * len(parcel)
            continue
        try:
            found: list[Verdict] = run(connection, acceptance(parcel, max_queued))
        except Overloaded as full:
            found = [full] * len(parcel)
        verdicts += found
    return verdicts


async def offer_once_awaited(
    connection: redis.asyncio.Redis, envelopes: Iterable[Envelope], max_queued: int | None
) -> list[Verdict]:
    """As `offer_once`, without keeping the event loop."""
    verdicts: list[Verdict] = []
    for parcel in parcels(envelopes):
        if refusal := _refused_turn(parcel, verdicts):
            verdicts += [refusal] * len(parcel)
            continue
        try:
            found: list[Verdict] = await run_awaited(connection, acceptance(parcel, max_queued))
        except Overloaded as full:
            found = [full] * len(parcel)
        verdicts += found
    return verdicts


def enqueue(
    connection: redis.Redis, sealed: Sequence[Sealed], max_queued: int | None, give_up_at: float
) -> list[Sealed]:
    """Enqueue what may be, waiting for room; errors are in the places of what cannot be, or found none.

    `give_up_at` is monotonic; all is offered at least once. Raises `QueueUnreachable`.
    """
    offer = Offer(sealed)
    while due := offer.due:
        offer.answer(offer_once(connection, due, max_queued))
        time.sleep(offer.pause(give_up_at - time.monotonic()))
    return offer.entries


async def enqueue_awaited(
    connection: redis.asyncio.Redis, sealed: Sequence[Sealed], max_queued: int | None, give_up_at: float
) -> list[Sealed]:
    """As `enqueue`, without keeping the event loop."""
    offer = Offer(sealed)
    while due := offer.due:
        offer.answer(await offer_once_awaited(connection, due, max_queued))
        await asyncio.sleep(offer.pause(give_up_at - time.monotonic()))
    return offer.entries


def _refused_turn(parcel: Sequence[Envelope], verdicts: Sequence[Verdict]) -> Overloaded | None:
    """Why these turns of a conversation may not be offered: one before them was refused."""
    refusal = verdicts[-1] if verdicts and parcel[0].conversation is not None else None
    return refusal if isinstance(refusal, Overloaded) else None


def has_room_later(refusal: Overloaded) -> bool:
    """Whether waiting helps: a deadline that cannot be met comes nearer as fast as the queue shrinks."""
    return refusal.code != "WAIT_TOO_LONG"
