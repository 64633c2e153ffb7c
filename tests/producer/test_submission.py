"""What a caller may ask for beside the audio, and what becomes of it in the envelope."""

from __future__ import annotations

import json
import random
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from producer.standing import Standing
from producer.submission import MOST_AHEAD, Envelope, Terms, check_max_queued, seal
from protocol.errors import RequestError

SILENCE = np.zeros(800, np.int16)


def sealed(request_id: str | None = None, **given: Any) -> Envelope:
    return seal(SILENCE, request_id, Terms.of(given, {}, 60), now=1_000.0)


def arguments(envelope: Envelope) -> dict[str, Any]:
    return dict(json.loads(json.loads(envelope.message)["body"])[1])


def test_ids_of_ours_cannot_be_guessed() -> None:
    """A result is whoever's knows its id: version 4, every free bit of it random, whatever seeds `random`."""
    made = []
    for _ in range(1_000):
        random.seed(0)
        made.append(UUID(sealed().request_id))
    assert {one.version for one in made} == {4}
    numbers = [one.int for one in made]
    always_set, ever_set = numbers[0], 0
    for number in numbers:
        always_set &= number
        ever_set |= number
    assert (always_set ^ ever_set).bit_count() == 122


def test_only_ids_of_callers_stand_for_their_content() -> None:
    """Nobody sends an id again that was made for this request alone."""
    assert sealed().digest == b""
    assert sealed("a").digest == sealed("b", priority="bulk", deadline=5, expires=5, encoding="flac").digest
    assert sealed("a").digest != sealed("a", language="en").digest


def test_a_deadline_is_a_time_on_redis_clock() -> None:
    """Seconds from now become a point in time, in the message and for admission alike."""
    envelope = sealed(deadline=2.5)
    assert envelope.deadline_at == arguments(envelope)["deadline_at"] == 1_002.5
    assert sealed().deadline_at is None
    assert "deadline_at" not in arguments(sealed())


def test_a_tenant_is_said_and_is_not_content() -> None:
    """A worker reads from the message who asks; the same sound for somebody else is the same request."""
    assert arguments(sealed(tenant="clinic.north"))["tenant"] == "clinic.north"
    assert "tenant" not in arguments(sealed())
    assert sealed("a", tenant="clinic.north").digest == sealed("a").digest


@pytest.mark.parametrize("name", ["deadline", "expires"])
@pytest.mark.parametrize(
    "wrong", [0, -1, -0.5, float("nan"), float("inf"), 1e308, MOST_AHEAD + 1, True, "soon", "5", [5]]
)
def test_bad_times_are_refused(name: str, wrong: Any) -> None:
    """Not a number of seconds from now, more than none and at most a year: named, with its limit."""
    with pytest.raises(RequestError, match=f"{name} is .*at most {MOST_AHEAD}") as caught:
        sealed(**{name: wrong})
    assert caught.value.code == "BAD_DEADLINE"
    assert sealed(None, **{name: MOST_AHEAD}).request_id


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "many"])
def test_bad_max_queued_is_refused(wrong: Any) -> None:
    """A whole number of requests, at least one; none given leaves it to the operator."""
    with pytest.raises(RequestError, match="max_queued is"):
        check_max_queued(wrong)
    assert (check_max_queued(None), check_max_queued(1)) == (None, 1)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "a day", None, MOST_AHEAD + 1])
def test_bad_payload_ttl_is_refused(wrong: Any) -> None:
    """Whole seconds, up to a year: said when the client is made, not by Redis when something is sent."""
    with pytest.raises(RequestError, match=f"payload_ttl is .*1 to {MOST_AHEAD}") as caught:
        Standing.of(None, wrong, None, 1.0)
    assert caught.value.code == "BAD_OPTION"
    assert Standing.of(None, MOST_AHEAD, None, 1.0).payload_ttl == MOST_AHEAD
