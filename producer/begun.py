"""A recording on its way, as far as a ticket has seen: what needs nobody to be asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from producer.assembly import Failure, Part, RecordingProgress
from producer.course import Course
from producer.patience import Patience
from producer.reading import Reading
from producer.standing import Standing
from protocol.transcript import Timings

Follow: TypeAlias = Callable[[RecordingProgress], object]
"""Called with how far a recording has come, whenever it has come further."""


class Begun:
    """What the tickets of a recording have in common, whether their holder waits or awaits."""

    def __init__(
        self,
        standing: Standing,
        request_id: str,
        reading: Reading | None,
        given: Mapping[str, Any] | None,
    ) -> None:
        self.request_id = request_id
        self._standing = standing
        self._given = dict(given or {})
        deadline = self._given.pop("deadline", None)
        self._course = Course(request_id, reading, time.monotonic, deadline=deadline)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.request_id!r})"

    @property
    def progress(self) -> RecordingProgress:
        """How far the recording has come, as far as this ticket has seen; asks nobody."""
        return self._course.progress()

    @property
    def parts(self) -> tuple[Part, ...]:
        """The requests it is made of and their places, as far as this ticket has seen."""
        return tuple(self._course.assembly.parts)

    @property
    def timings(self) -> Timings | None:
        """The receipt of the parts that have ended, as far as this ticket has seen; None before one has.

        `producer/tally.py` says how it is made up. Each part's own is that of its request.
        """
        return self._course.timings()

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What is missing of it and why, as far as this ticket has seen."""
        return self._course.failures()

    def _patience(self, timeout: float | None) -> Patience:
        return Patience(timeout, time.monotonic(), longest=self._standing.timeout)
