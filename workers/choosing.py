"""Which of the messages that wait a worker claims for its next batch, by what it has seen of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from batching.item import Item
from workers.ahead import Ahead
from workers.waiting import Waiting


class Choosing:
    """Asked at each claim. On the event loop's thread."""

    def __init__(self, ahead: Ahead, waiting: Waiting, now: Callable[[], float]) -> None:
        """`now` is on the clock of `batching.item.Item.enqueued_at`."""
        self._ahead = ahead
        self._waiting = waiting
        self._now = now

    def __call__(self) -> Sequence[bytes] | None:
        """The messages that the batcher would run next, of those that wait; None to claim in order.

        With them those that have missed their deadline: they are put behind all others, and take no place.

        It looks again only if what was seen while the batch ran leaves a choice. That may be long ago, and
        others claim, too.

        Raises:
            redis.RedisError: Redis did not show what waits.
        """
        sight, room, now = self._waiting.sight, self._waiting.room, self._now()
        if not sight.pays(self._ahead.seen, room):
            return None
        seen, overdue = self._ahead.look(), self._ahead.overdue(now)
        in_time = [item for item in seen if item.id not in overdue]
        chosen = sight.choose(in_time, room, now)
        if chosen is None and not overdue:
            return None
        return [*overdue, *_messages(in_time[:room] if chosen is None else chosen)]


def _messages(seen: Sequence[Item]) -> list[bytes]:
    return [item.id for item in seen if isinstance(item.id, bytes)]
