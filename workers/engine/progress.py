"""How far a row has come: all that must be known to go on with it, in this call or a later one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from protocol.transcript import Segment
from protocol.wire import decode_segment
from workers.engine.attempt import Attempt


@dataclass(slots=True, kw_only=True)
class Progress:
    """The place in the audio and what was heard before it. Changed only by the row's `Listener`."""

    seek: int = 0
    """Where the window begins, in frames of 10 ms."""
    language: str | None = None
    """None until it is detected."""
    language_probability: float = 1.0
    tokens: list[int] = field(default_factory=list, repr=False)
    """The initial prompt and all text so far; what goes before the window is cut from its end."""
    prompt_since: int = 0
    """How many of `tokens` are not to go before another window."""
    segments: list[Segment] = field(default_factory=list, repr=False)
    warnings: list[str] = field(default_factory=list)
    last_word_at: float = 0.0
    """When the last word ended, in seconds; word timestamps need it."""
    failures: int = 0
    """How many temperatures did not help in this window."""
    best: Attempt | None = field(default=None, repr=False)
    """What stands of them if none does."""

    def encoded(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)


def decoded(encoded: Mapping[str, Any]) -> Progress:
    """The progress that was `encoded`, be it through JSON."""
    best = encoded["best"]
    return Progress(
        **{
            **encoded,
            "segments": [decode_segment(segment) for segment in encoded["segments"]],
            "best": best and Attempt(**{**best, "tokens": tuple(best["tokens"])}),
        }
    )
