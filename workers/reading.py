"""What a message asks for, as far as its id and its arguments say: a request, or what is wrong with it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from protocol.errors import RequestError
from protocol.fast_json import loads
from protocol.request import Request
from protocol.routing import PRIORITY_NUMBERS, TASK_NAME, priority_from_number
from protocol.signing import Keys, check_signature
from protocol.wire import decode_request
from workers.preferences import Preferences

#: Order of the task's parameters, for senders that use positional arguments.
PARAMETERS = ("audio", "options", "submitted_at", "v", "deadline_at")


class Asked(Protocol):
    """What is read of a message; anything may be in it."""

    @property
    def id(self) -> Any:
        """The task's id."""

    @property
    def args(self) -> Sequence[Any]:
        """Positional arguments."""

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Keyword arguments."""

    @property
    def priority_number(self) -> int:
        """The number of the lane that the message was sent to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A message that waits on a lane, as far as a look goes."""

    id: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    priority_number: int


def lane_number(said: object) -> int:
    """The number of the lane that a message was sent to, by what it says of its priority."""
    return PRIORITY_NUMBERS[priority_from_number(said if isinstance(said, int) else 0)]


def request_of(asked: Asked, preferences: Preferences) -> Request | RequestError:
    """What a message asks for; an error if it does not make sense, for its result to say so."""
    try:
        if len(asked.args) > len(PARAMETERS):
            raise RequestError(f"{len(asked.args)} positional arguments: at most {len(PARAMETERS)} are known")
        arguments = dict(zip(PARAMETERS, asked.args, strict=False)) | dict(asked.kwargs)
        request = decode_request(asked.id, arguments, priority_from_number(asked.priority_number))
        return preferences.settled(request)
    except RequestError as error:
        return error
    except (TypeError, ValueError) as error:
        return RequestError(f"the arguments are not a list and an object: {error}")


def wrong_signature(keys: Keys, asked: Asked) -> str | None:
    """What is wrong with the signature of a message; None if nothing is. What is positional is not signed."""
    try:
        check_signature(keys, asked.id, {} if asked.args else asked.kwargs)
    except (RequestError, TypeError, AttributeError) as error:
        return str(error)
    return None


class Reader:
    """Reads messages where they wait, before Celery does. Whatever is wrong with one, Celery will meet it."""

    def __init__(self, keys: Keys | None, preferences: Preferences) -> None:
        self._keys = keys
        self._preferences = preferences

    def __call__(self, message: bytes) -> Request | None:
        """The request that will run if nothing comes between; None if there is none, or it is not yet due."""
        seen = _seen(message)
        if seen is None or (self._keys is not None and wrong_signature(self._keys, seen)):
            return None
        request = request_of(seen, self._preferences)
        return request if isinstance(request, Request) else None


def _seen(message: bytes) -> Seen | None:
    """A message as kombu writes it, with a body of plain JSON; None for any other."""
    try:
        envelope = loads(message)
        headers = envelope["headers"]
        if headers["task"] != TASK_NAME or headers.get("eta"):
            return None
        coded = envelope["properties"]["body_encoding"] == "base64"
        args, kwargs, _ = loads(base64.b64decode(envelope["body"]) if coded else envelope["body"])
        number = lane_number(envelope["properties"].get("priority"))
        return Seen(id=headers["id"], args=args, kwargs=kwargs, priority_number=number)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
