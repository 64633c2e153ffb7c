"""The client that a verb works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.interrupts import interrupts_wait

if TYPE_CHECKING:
    from producer import Client


def client_of(redis_url: str | None) -> Client:
    """A client for this Redis; what it needs is loaded here, not at the start of `segue --help`."""
    with interrupts_wait():
        from producer import Client

    return Client(redis_url)
