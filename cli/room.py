"""Put an input on the queue, waiting for room while there is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cli import outcomes
from cli.exits import NoWorker
from cli.presence import worker_answers
from protocol.errors import DeadlineExceeded, Overloaded, RequestError, TranscriptionError

if TYPE_CHECKING:
    from producer import Ticket


def submit_when_room(
    submit: Callable[[], Ticket], give_up_at: float, redis_url: str | None
) -> Ticket | TranscriptionError:
    """What `submit` returns, or why it may not be: tried again until `give_up_at`, which is monotonic.

    Raises:
        NoWorker: there is no room, and nobody who makes any.
        QueueUnreachable: Redis does not answer.
    """
    from producer.offer import has_room_later

    ask_at = time.monotonic() + outcomes.ASK_AFTER_SECONDS
    while True:
        try:
            return submit()
        except Overloaded as error:
            now = time.monotonic()
            if now >= give_up_at or not has_room_later(error):
                return error
            if now >= ask_at and not worker_answers(redis_url):
                raise NoWorker(f"{error}, and no worker answers: `segue worker` starts one") from None
            time.sleep(min(error.retry_after, give_up_at - now, outcomes.ASK_AFTER_SECONDS))
        except (RequestError, DeadlineExceeded) as error:
            return error
