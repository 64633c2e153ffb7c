"""What a worker tells its engine process of the work to come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import redis

from batching.item import Item
from protocol.request import Encoding, Payload, Request
from protocol.wire import encode_request
from workers.ahead import LOOK_AGAIN_SECONDS, LOOK_SECONDS, Ahead
from workers.run import Work
from workers.transport.claims import Shown


def request(name: str) -> Request:
    return Request(
        request_id=name, payload=Payload(encoding=Encoding.PCM, length=8_000, key=f"segue:audio:{name}")
    )


def order(name: str) -> list[Any]:
    return [name, encode_request(request(name))]


def work(name: str) -> Work:
    item = Item(id=name, key="key", enqueued_at=0.0)
    return Work(message=None, request=request(name), item=item)


class Desk:
    """The worker around: what waits, what it holds, its timer, and an engine process that listens."""

    def __init__(self, most: int = 4) -> None:
        self.lane: list[str] = []
        self.held: list[Work] = []
        self.is_away = False
        self.read: list[bytes] = []
        self.sent: list[dict[str, Any]] = []
        self.due: tuple[float, Callable[..., None], tuple[Any, ...]] | None = None
        self.cancelled = 0
        self.ahead = Ahead(
            most,
            look=self.look,
            read=self.read_one,
            held=lambda: self.held,
            now=lambda: 0.0,
            call_later=self.call_later,
        )

    def look(self, count: int) -> Sequence[Shown]:
        if self.is_away:
            raise redis.ConnectionError("away")
        return [Shown(2, name.encode()) for name in self.lane[:count]]

    def read_one(self, message: bytes) -> Request | None:
        self.read.append(message)
        return None if message == b"junk" else request(message.decode())

    def call_later(self, delay: float, callback: Callable[..., None], *arguments: Any) -> Desk:
        self.due = delay, callback, arguments
        return self

    def cancel(self) -> None:
        self.cancelled += 1
        self.due = None

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def begin(self, seconds: float | None = None) -> None:
        self.ahead.begin(self, seconds)  # type: ignore[arg-type]  # all that is asked of an engine process is `send`

    def pass_time(self) -> float:
        """Let the timer ring; how long that was."""
        assert self.due is not None
        delay, callback, arguments = self.due
        self.due = None
        callback(*arguments)
        return delay


def test_what_is_held_comes_before_what_is_seen() -> None:
    """Both together are no more than may be looked ahead at; junk is passed over."""
    desk = Desk(most=4)
    desk.held = [work("h")]
    desk.lane = ["a", "junk", "b", "c"]
    desk.begin()
    assert desk.pass_time() == LOOK_SECONDS
    assert desk.sent == [{"ahead": [order("h"), order("a"), order("b")]}]


def test_it_looks_again_until_it_has_seen_enough() -> None:
    """While less waits than might be prepared, more may come during the batch; only news are told."""
    desk = Desk(most=2)
    desk.lane = ["a"]
    desk.begin()
    desk.pass_time()
    assert desk.pass_time() == LOOK_AGAIN_SECONDS
    desk.lane = ["a", "b", "c"]
    desk.pass_time()
    assert desk.sent == [{"ahead": [order("a")]}, {"ahead": [order("a"), order("b")]}]
    assert desk.due is None
    assert desk.read == [b"a", b"b"]


def test_the_last_list_is_empty() -> None:
    """When nothing waits any more the engine process is told so, and forgets what it has ready."""
    desk = Desk()
    desk.lane = ["a"]
    desk.begin()
    desk.pass_time()
    desk.ahead.end()
    assert desk.cancelled == 1
    desk.lane = []
    desk.begin()
    desk.pass_time()
    assert desk.sent[-1] == {"ahead": []}


def test_a_new_engine_process_is_told_everything() -> None:
    """The one before took what it had ready along."""
    desk = Desk()
    desk.lane = ["a"]
    for _ in range(2):
        desk.begin()
        desk.pass_time()
        desk.ahead.new_engine()
    assert desk.sent == [{"ahead": [order("a")]}] * 2


def test_redis_may_be_away() -> None:
    """Then nothing is told, and it looks again."""
    desk = Desk()
    desk.is_away = True
    desk.begin()
    desk.pass_time()
    desk.is_away = False
    desk.lane = ["a"]
    desk.pass_time()
    assert desk.sent == [{"ahead": [order("a")]}]


def seen(desk: Desk) -> list[object]:
    return [item.id for item in desk.ahead.seen]


def test_what_was_seen_can_be_chosen_from() -> None:
    """Each message that waited at the last look, under itself; nothing before the first look of a batch."""
    desk = Desk()
    desk.lane = ["a", "b"]
    desk.begin()
    assert seen(desk) == []
    desk.pass_time()
    assert seen(desk) == [b"a", b"b"]
    desk.lane = ["b", "c"]
    assert [item.id for item in desk.ahead.look()] == [b"b", b"c"] == seen(desk)
    assert desk.read == [b"a", b"b", b"c"]
    desk.begin()
    assert seen(desk) == []


def test_nothing_is_chosen_beside_what_cannot_be_read() -> None:
    """Celery has to meet it in its turn, so all are claimed in order."""
    desk = Desk()
    desk.lane = ["a", "junk", "b"]
    desk.begin()
    desk.pass_time()
    assert seen(desk) == []


def test_it_does_not_look_during_a_short_call() -> None:
    """Nothing would be won in so little time; a long one is worth it."""
    desk = Desk()
    desk.begin(LOOK_SECONDS)
    assert desk.due is None
    desk.begin(2 * LOOK_SECONDS)
    assert desk.due is not None


def test_it_can_be_turned_off() -> None:
    """With nothing to look at it does not even ask."""
    desk = Desk(most=0)
    desk.begin()
    assert desk.due is None


def test_behind_a_short_batch_it_tells_of_what_has_been_claimed() -> None:
    """There is no time for a look; after one, what was seen is told already, and more of it."""
    desk = Desk(most=2)
    desk.held = [work("h"), work("i"), work("j")]
    desk.lane = ["a"]
    desk.begin(LOOK_SECONDS / 2)
    assert desk.due is None
    desk.ahead.tell_held(desk)  # type: ignore[arg-type]
    assert desk.sent == [{"ahead": [order("h"), order("i")]}]
    desk.held = [work("h")]
    desk.begin()
    desk.pass_time()
    desk.ahead.tell_held(desk)  # type: ignore[arg-type]
    assert desk.sent[1:] == [{"ahead": [order("h"), order("a")]}]


def test_who_prepares_nothing_ahead_is_told_nothing() -> None:
    """`prepare_ahead: 0`."""
    desk = Desk(most=0)
    desk.held = [work("h")]
    desk.begin(LOOK_SECONDS / 2)
    desk.ahead.tell_held(desk)  # type: ignore[arg-type]
    assert desk.sent == []
