"""What has no room is offered again, one by one, for as long as there is time."""

from __future__ import annotations

import numpy as np
import pytest

from producer.admission import PARCEL_BYTES, parcels
from producer.offer import Offer
from producer.submission import Envelope, Terms, seal
from protocol.errors import Overloaded, RequestError

SILENCE = np.zeros(800, np.int16)


def envelope(request_id: str) -> Envelope:
    return seal(SILENCE, request_id, Terms.of({}, {}, 60), now=1_000.0)


def full(retry_after: float = 2.0) -> Overloaded:
    return Overloaded("full", "QUEUE_FULL", retry_after)


def due(offer: Offer) -> list[str]:
    return [one.request_id for one in offer.due]


@pytest.fixture
def offer() -> Offer:
    """Three requests, and one that could not be sent at all."""
    return Offer([envelope("a"), RequestError("no audio"), envelope("b"), envelope("c")])


def test_all_are_offered_at_once_and_then_done(offer: Offer) -> None:
    """What can be sent is; accepted ones keep their place, and so does what could not be sent."""
    assert due(offer) == ["a", "b", "c"]
    offer.answer([None, None, None])
    assert due(offer) == []
    assert offer.pause(10) == 0
    assert [type(one) for one in offer.entries] == [Envelope, RequestError, Envelope, Envelope]


def test_the_first_without_room_waits_as_long_as_it_was_told(offer: Offer) -> None:
    """Only one is sent to find out whether there is room again; once there is, the next follows at once."""
    offer.answer([None, full(2.0), full(3.0)])
    assert offer.pause(10) == 2.0
    assert due(offer) == ["b"]
    offer.answer([full(0.5)])
    assert offer.pause(10) == 0.5
    offer.answer([None])
    assert (offer.pause(10), due(offer)) == (0, ["c"])
    offer.answer([None])
    assert due(offer) == []


def test_no_longer_than_there_is_time(offer: Offer) -> None:
    """A last try at the end of the time; then what found no room has that error in its place."""
    refusal = full(60)
    offer.answer([None, refusal, refusal])
    assert offer.pause(1.5) == 1.5
    assert due(offer) == ["b"]
    offer.answer([refusal])
    assert offer.pause(0) == 0
    assert due(offer) == []
    assert offer.entries[2:] == [refusal, refusal]


def test_what_waiting_does_not_help_is_not_waited_for(offer: Offer) -> None:
    """A conflict stays one, and a deadline comes nearer as fast as the queue shrinks."""
    conflict, late = RequestError("other", "ID_CONFLICT"), Overloaded("late", "WAIT_TOO_LONG", 9.0)
    offer.answer([conflict, late, None])
    assert (due(offer), offer.pause(10)) == ([], 0)
    assert offer.entries[0] is conflict
    assert offer.entries[2] is late


def test_no_parcel_keeps_redis_for_long() -> None:
    """However many go at once, Redis takes 4 MiB of audio in one step; order and all of them stay."""
    long = seal(np.zeros(480_000, np.int16), "long", Terms.of({}, {}, 60), now=1_000.0)
    given = [envelope("first"), *[long] * 9, envelope("last")]
    sent = list(parcels(given))
    assert [one for parcel in sent for one in parcel] == given
    assert [len(parcel) for parcel in sent] == [5, 4, 2]
    assert max(sum(len(one.payload) for one in parcel) for parcel in sent) <= PARCEL_BYTES
    assert list(parcels([])) == []
