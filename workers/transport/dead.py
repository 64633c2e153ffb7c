"""What did not come through: requests that were given up, and messages that nobody understood.

An operator looks at them, and drops them or has a request run again (`segue dead`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import redis

from protocol.request import Priority
from protocol.routing import (
    CONVERSATION_SECONDS,
    DEAD_KEY_PREFIX,
    deaths_key,
    payload_key,
    queue_key,
    result_key,
    turn_key,
    waiting_key,
)
from protocol.wire import conversation_of
from workers.transport.scripts import script

#: Requests that were given up: a sorted set of their ids by when, in seconds on Redis's clock.
DEAD_REQUESTS = "segue:dead:requests"

#: Messages that could not be understood, as they were sent, newest first.
DEAD_MESSAGES = "segue:dead:messages"

#: How many given-up requests are kept, and for how many seconds: each with its audio, up to 1 MB. A week is
#: long enough to be seen after a weekend.
DEAD_REQUESTS_KEPT = 1_000
DEAD_SECONDS = 7 * 86_400

#: Hex digits by which a message without an id is named.
NAME_DIGITS = 12


class NotDead(LookupError):
    """Nothing of this name is kept here."""


class AudioGone(Exception):
    """A request cannot run again: its audio is not there any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """A request that was given up, or a message that could not be understood."""

    name: str
    """The request's id, or the first digits of the SHA-256 of the message."""
    died_at: float | None
    """In seconds since the epoch on Redis's clock; None for a message."""
    reason: str
    message: bytes = field(repr=False)
    lane: int | None = None
    """From 1 for the most urgent; None for a message, which cannot run again."""
    audio_bytes: int = 0


class DeadOnes:
    """What is kept in one Redis."""

    def __init__(self, connection: redis.Redis) -> None:
        self._redis = connection
        self._retry = script(connection, "retry")

    def list(self) -> list[Dead]:
        """All that is kept: requests, newest first, then messages, newest first."""
        return [*self._requests(), *self._messages()]

    def show(self, name: str) -> Dead:
        """One of them. Raises `NotDead`."""
        found = self._request(name) or next((one for one in self._messages() if one.name == name), None)
        if found is None:
            raise NotDead(f"nothing of the name {name[:60]!r} is kept here")
        return found

    def retry(self, name: str) -> None:
        """Queue a request anew under its id, at the end of its lane, as if it had never died.

        Its result, which said that it was given up, is removed: the only result that ever is. A turn of a
        conversation, which has gone on without it, becomes its last.

        Raises:
            NotDead: nothing of this name is kept, or it is a message.
            AudioGone: its audio has expired.
        """
        found = self.show(name)
        if found.lane is None:
            raise NotDead(f"{name} is a message that could not be understood: it can only be dropped")
        if found.audio_bytes == 0 and _names_audio(found.message):
            raise AudioGone(f"the audio of {name} has expired: submit it again")
        lanes = [queue_key(priority) for priority in Priority]
        keys = [DEAD_REQUESTS, dead_key(name), result_key(name), deaths_key(name), *lanes]
        if conversation := conversation_of(_arguments(found.message)):
            keys += (turn_key(conversation), waiting_key(conversation))
        if not self._retry(keys=keys, args=[name, len(lanes), CONVERSATION_SECONDS]):
            raise NotDead(f"{name} was taken away meanwhile")

    def drop(self, name: str) -> None:
        """Forget one of them, with its audio; its result stays. Raises `NotDead`."""
        found = self.show(name)
        with self._redis.pipeline(transaction=True) as pipe:
            if found.lane is None:
                pipe.lrem(DEAD_MESSAGES, 0, found.message)  # type: ignore[arg-type]  # bytes are as good
            else:
                pipe.zrem(DEAD_REQUESTS, name)
                pipe.unlink(dead_key(name), payload_key(name), deaths_key(name))
            pipe.execute()

    def _requests(self) -> Iterator[Dead]:
        names: Any = self._redis.zrevrange(DEAD_REQUESTS, 0, -1)
        for name in names:
            if found := self._request(name.decode()):
                yield found

    def _request(self, name: str) -> Dead | None:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(dead_key(name), "message", "lane", "reason")
            pipe.zscore(DEAD_REQUESTS, name)
            pipe.strlen(payload_key(name))
            (message, lane, reason), died_at, audio_bytes = pipe.execute()
        if message is None:
            return None
        return Dead(
            name=name,
            died_at=died_at,
            reason=reason.decode(),
            message=message,
            lane=int(lane),
            audio_bytes=audio_bytes,
        )

    def _messages(self) -> Iterator[Dead]:
        messages: Any = self._redis.lrange(DEAD_MESSAGES, 0, -1)
        for message in messages:
            name = hashlib.sha256(message).hexdigest()[:NAME_DIGITS]
            yield Dead(name=name, died_at=None, reason="not understood", message=message)


def dead_key(request_id: str) -> str:
    """The hash that keeps what was given up: its message, lane and the reason."""
    return DEAD_KEY_PREFIX + request_id


def _names_audio(message: bytes) -> bool:
    """Whether the audio of a message lies under a key of its own."""
    return "key" in _arguments(message)["audio"]


def _arguments(message: bytes) -> dict[str, Any]:
    """The keyword arguments of a message that a worker has understood."""
    _, kwargs, _ = json.loads(json.loads(message)["body"])
    return dict(kwargs)
