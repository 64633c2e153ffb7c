"""What can be served is accepted, what cannot be is refused before it is queued: request by request.

`accept.lua` decides and enqueues at one instant: whether an id stands for another content already, whether
there is room for another request and for its audio, whether the deadline can be met. How fast the workers
are, and what an operator lets wait, they have written to Redis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from producer.exchange import Exchange
from producer.submission import Envelope
from protocol.errors import RETRY_AFTER, DeadlineExceeded, Overloaded, RequestError, TranscriptionError
from protocol.request import Priority
from protocol.routing import (
    CONVERSATION_SECONDS,
    HELD,
    HELD_BYTES,
    LEASES,
    LIMITS,
    PRIORITY_NUMBERS,
    RATES,
    id_key,
    payload_key,
    queue_key,
    result_key,
    turn_key,
    waiting_key,
)

#: How much longer than audio may wait it is remembered what an id stood for: by then a result that is kept
#: as long as the audio could wait has been gone for five such times, so who asks late is still told.
ID_TTLS = 7

#: Most turns of a conversation that may wait for one another: a day's talk in segments, and as many
#: messages, 1 MB, in a list that no other limit on what waits counts.
MOST_TURNS = 1_000

#: Shortest `retry_after`, in seconds: a refusal has cost the way of the audio to Redis and back.
RETRY_AFTER_MIN = 0.1

#: Most bytes of audio in one call of the script: Redis copies them while it serves nobody else. 64 segments
#: of 30 s took it 0.2 s at once, measured on a busy 2-core machine; in parcels of this size 13 ms each.
PARCEL_BYTES = 4 * 2**20

Verdict: TypeAlias = TranscriptionError | None
"""Why a request was refused; None if it is on its way."""


def parcels(envelopes: Iterable[Envelope]) -> Iterator[list[Envelope]]:
    """`envelopes` in order, as many at a time as may go to Redis together."""
    parcel: list[Envelope] = []
    size = 0
    for one in envelopes:
        if parcel and size + len(one.payload) > PARCEL_BYTES:
            yield parcel
            parcel, size = [], 0
        parcel.append(one)
        size += len(one.payload)
    if parcel:
        yield parcel


def acceptance(envelopes: Sequence[Envelope], max_queued: int | None = None) -> Exchange[list[Verdict]]:
    """Enqueue what may be, all at one instant; `envelopes` are of one call, and not none.

    A request that was accepted before, with the same content, is on its way already: nothing is sent again,
    unless neither its audio nor its result is kept any more.

    Args:
        envelopes: what is asked for, in the order in which it is to run; one priority and one conversation.
        max_queued: how many requests of this priority may wait; None leaves it to the operator.
    """
    first = envelopes[0]
    priority, payload_ttl, conversation = first.priority, first.payload_ttl, first.conversation
    lists = [queue_key(one) for one in Priority if PRIORITY_NUMBERS[one] <= PRIORITY_NUMBERS[priority]]
    keys = [LEASES, RATES, LIMITS, HELD, HELD_BYTES, *lists]
    arguments: list[Any] = [len(lists), PRIORITY_NUMBERS[priority], payload_ttl, ID_TTLS * payload_ttl]
    arguments.append("" if max_queued is None else max_queued)
    if conversation is not None:
        keys += (turn_key(conversation), waiting_key(conversation))
    arguments += ("" if conversation is None else MOST_TURNS, max(CONVERSATION_SECONDS, payload_ttl))
    for one in envelopes:
        keys += (id_key(one.request_id), payload_key(one.request_id), result_key(one.request_id))
        arguments += (one.digest, _entry(one), _milliseconds(one.deadline_at), one.message, one.payload)

    def read(answers: list[Any]) -> list[Verdict]:
        found = zip(envelopes, answers, strict=True)
        return [_refusal(one, answer) if isinstance(answer, list) else None for one, answer in found]

    return Exchange.of_script(_script(), keys, arguments, read)


def all_accepted(verdicts: list[Verdict]) -> None:
    """Raise the first error there is."""
    for verdict in verdicts:
        if verdict is not None:
            raise verdict


def _refusal(envelope: Envelope, answer: list[Any]) -> TranscriptionError:
    code, found, allowed, wait = answer
    retry_after = RETRY_AFTER if wait < 0 else max(RETRY_AFTER_MIN, wait / 1_000)
    waiting = f"{envelope.priority} requests"
    match code.decode():
        case "ID_CONFLICT":
            return RequestError(
                f"request_id {envelope.request_id!r} stands for other audio, text or options",
                "ID_CONFLICT",
            )
        case "QUEUE_FULL":
            return Overloaded(f"{found} {waiting} wait, the limit is {allowed}", "QUEUE_FULL", retry_after)
        case "BYTES_FULL":
            return Overloaded(
                f"the audio of {waiting} would be {found} bytes, the limit is {allowed}",
                "BYTES_FULL",
                retry_after,
            )
        case "CONVERSATION_FULL":
            return Overloaded(
                f"{found} turns of the conversation wait, the limit is {allowed}",
                "CONVERSATION_FULL",
                retry_after,
            )
        case "WAIT_TOO_LONG":
            return Overloaded(
                f"a request would wait {found / 1_000:.1f} s, its deadline is in {allowed / 1_000:.1f} s",
                "WAIT_TOO_LONG",
                retry_after,
            )
        case _:
            return DeadlineExceeded(
                f"the deadline passed {found / 1_000:.1f} s before the request was queued",
                "DEADLINE_EXCEEDED",
            )


def _entry(envelope: Envelope) -> str:
    """Its entry in the account of audio that is held."""
    return f"{PRIORITY_NUMBERS[envelope.priority]}:{len(envelope.payload)}:{envelope.request_id}"


def _milliseconds(time: float | None) -> str | int:
    return "" if time is None else round(1_000 * time)


@cache
def _script() -> str:
    return Path(__file__).with_name("accept.lua").read_text(encoding="utf-8")
