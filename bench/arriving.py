"""Requests that reach a live worker at given times, and their receipts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from bench.simulation.arrivals import Times
from producer import Client
from protocol.transcript import Timings, Transcript


def submitted_at(
    client: Client, times: Times, sounds: Iterable[Any], *, timeout: float, language: str | None = None
) -> tuple[Sequence[float], Sequence[Timings]]:
    """Submit a sound at each of `times`: when that was, in seconds from the beginning, and its receipt.

    Raises:
        ResultTimeout: a request took longer than `timeout` seconds.
    """
    began_at = time.monotonic()
    tickets, came_at = [], []
    for at, sound in zip(times.tolist(), sounds, strict=True):
        time.sleep(max(0.0, began_at + at - time.monotonic()))  # these are the arrivals
        came_at.append(time.monotonic() - began_at)
        tickets.append(client.submit(sound, language=language))
    return came_at, [receipt_of(ticket.result(timeout)) for ticket in tickets]


def receipt_of(transcript: Transcript) -> Timings:
    """The receipt of a request, which every worker writes."""
    if transcript.timings is None:
        raise LookupError(f"the result of request {transcript.request_id} has no receipt")
    return transcript.timings
