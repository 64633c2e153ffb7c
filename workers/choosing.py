"""Which of the messages that wait a worker claims for its next batch, by what it has seen of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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

        It looks again only if what was seen while the batch ran leaves a choice. That may be long ago, and
        others claim, too.

        Raises:
            redis.RedisError: Redis did not show what waits.
        """
        sight, room = self._waiting.sight, self._waiting.room
        if not sight.pays(self._ahead.seen, room):
            return None
        chosen = sight.choose(self._ahead.look(), room, self._now())
        return None if chosen is None else [item.id for item in chosen if isinstance(item.id, bytes)]
