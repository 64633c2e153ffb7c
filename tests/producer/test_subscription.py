"""Tests of `producer.subscription`; what needs a Redis is in `tests/integration/test_subscription.py`."""

from typing import Any, cast

from redis.client import PubSub

from producer.subscription import Subscription


class Listener:
    """In the place of redis-py's: says one thing after the other, then nothing."""

    def __init__(self, *said: tuple[str, str, str]) -> None:
        self._said = [
            {"type": kind, "channel": channel.encode(), "data": data.encode()} for kind, channel, data in said
        ]

    def get_message(self, timeout: float) -> dict[str, Any] | None:
        assert timeout > 0
        return self._said.pop(0) if self._said else None


def subscription(*said: tuple[str, str, str]) -> Subscription:
    return Subscription(cast(PubSub, Listener(*said)), "mine")


def test_what_an_earlier_wait_has_left_is_passed_over() -> None:
    """A connection that was listened on before may still tell another request's result: it is not ours."""
    news = subscription(
        ("message", "other", "theirs"),
        ("unsubscribe", "other", ""),
        ("subscribe", "mine", ""),
        ("message", "mine", "ours"),
    )
    assert news.wait(60.0) == b"ours"


def test_a_subscription_is_not_there_before_redis_says_so() -> None:
    """Neither the answer to another subscription nor a message is taken for it."""
    news = subscription(("subscribe", "other", ""), ("message", "mine", "early"), ("subscribe", "mine", "1"))
    confirmed = news.next_of("subscribe", 60.0)
    assert confirmed is not None
    assert confirmed["data"] == b"1"
