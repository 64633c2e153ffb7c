"""What a recording wants done next: steps that somebody takes and answers, waiting or awaiting."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from producer.exchange import Exchange
from producer.given import GivenTerms
from producer.reading import Reading
from producer.splitting import Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueue:
    """Submit this audio segment, under the terms of the recording and these, which have the last word."""

    request_id: str
    terms: GivenTerms
    samples: Samples = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Ask for its `due` part: work for a processor."""

    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Cancel this request."""

    request_id: str


Step: TypeAlias = Exchange[Any] | Enqueue | Read | Pause | Cancel
Result = TypeVar("Result")
Steps: TypeAlias = Generator[Step, Any, Result]
