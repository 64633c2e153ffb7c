"""What is to be done later on the worker's event loop, or not to be done after all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CallLater = Callable[..., Any]
"""Of the event loop: seconds, what to call, its arguments. Returns what `cancel` takes."""


def cancel(alarm: Any) -> None:
    """What was to be called is not called; nothing happens if it was, or if there is none (None)."""
    if alarm is not None:
        alarm.cancel()
