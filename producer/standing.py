"""What a client was told when it was made, and holds for all that it submits and waits for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from producer.submission import MOST_AHEAD, Terms, check_max_queued
from protocol.errors import RequestError
from protocol.options import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Every instance is valid; see `Client` for what each means."""

    defaults: Mapping[str, Any]
    payload_ttl: int
    max_queued: int | None
    timeout: float

    @classmethod
    def of(cls, defaults: Options | None, payload_ttl: int, max_queued: int | None, timeout: float) -> Self:
        """Raises `RequestError` if a value makes no sense."""
        return cls(
            defaults=defaults.changes() if defaults else {},
            payload_ttl=_check_payload_ttl(payload_ttl),
            max_queued=check_max_queued(max_queued),
            timeout=_check_timeout(timeout),
        )

    def terms(self, given: Mapping[str, Any], **more: Any) -> Terms:
        """The terms of a submit that was given these, by name. Raises `RequestError`."""
        return Terms.of({**given, **more}, self.defaults, self.payload_ttl)

    def seconds(self, timeout: float | None) -> float:
        """How long somebody waits who asks for this: None is what the client was told."""
        return self.timeout if timeout is None else timeout

    def give_up_at(self, timeout: float | None) -> float:
        """When somebody gives up who begins to wait now, on the monotonic clock."""
        return time.monotonic() + self.seconds(timeout)


def _check_timeout(timeout: object) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise RequestError(
            f"timeout is {repr(timeout)[:40]}: expected a finite number of seconds above 0", "BAD_OPTION"
        )
    return timeout


def _check_payload_ttl(seconds: object) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 < seconds <= MOST_AHEAD:
        raise RequestError(
            f"payload_ttl is {repr(seconds)[:40]}: expected whole seconds, 1 to {MOST_AHEAD}",
            "BAD_OPTION",
        )
    return seconds
