"""A recording on its way into parts: read, heard and cut only as far as somebody asks for."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Literal, TypeAlias, get_args
from uuid import uuid4

from producer.assembly import Failure, Part
from producer.audio import AudioLike
from producer.long_audio import read_pieces
from producer.loudness import Loudness
from producer.manifest import End, check_recording_id, part_id
from producer.onset import onset
from producer.silero import Silero, is_installed
from producer.splitting import Hear, Samples, Splitter, everything
from protocol.errors import Cancelled, RequestError
from protocol.request import MAX_SECONDS, SAMPLE_RATE

Split: TypeAlias = Literal["vad", "energy", "fixed"]
"""How a recording is cut: where a model hears nobody speak, where it is quiet, or at fixed lengths."""

NextPart: TypeAlias = tuple[int, Part, Samples]
"""The number of a part, counted from 1, what it is, and its sound."""

#: Shortest limit on an audio segment, in seconds: below it hardly a sentence fits.
SHORTEST = 1.0

#: Parts of one recording that are enqueued or running at a time: two full batches of the largest
#: usual size, so that a worker never waits for it; 62 MB in Redis at the most.
MAX_IN_FLIGHT = 64

#: Most warnings kept of one recording: a file that is damaged everywhere says the same ever again.
MAX_WARNINGS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a recording is cut into parts and how many are under way; every instance is valid."""

    split: Split = "vad"
    max_segment_seconds: float = MAX_SECONDS
    max_in_flight: int = MAX_IN_FLIGHT

    def __post_init__(self) -> None:
        if self.split not in get_args(Split):
            raise _bad("split", self.split, f"one of {', '.join(get_args(Split))}")
        seconds, parts = self.max_segment_seconds, self.max_in_flight
        if (
            isinstance(seconds, bool)
            or not isinstance(seconds, int | float)
            or not SHORTEST <= seconds <= MAX_SECONDS
        ):
            raise _bad("max_segment_seconds", seconds, f"a number from {SHORTEST:g} to {MAX_SECONDS:g}")
        if isinstance(parts, bool) or not isinstance(parts, int) or parts < 1:
            raise _bad("max_in_flight", parts, "a whole number from 1 up")


class Reading:
    """The parts of one recording, each made when it is asked for, and due until it is enqueued."""

    def __init__(
        self,
        audio: AudioLike,
        *,
        plan: Plan,
        request_id: str | None = None,
        sample_rate: int | None = None,
        language: str | None = None,
    ) -> None:
        self.request_id = uuid4().hex if request_id is None else check_recording_id(request_id)
        self.max_in_flight = plan.max_in_flight
        self._language = language
        self._warnings: list[str] = []
        self._splitter = Splitter(
            self._hearing(plan.split), max_samples=int(plan.max_segment_seconds * SAMPLE_RATE)
        )
        self._pieces = read_pieces(audio, sample_rate=sample_rate, warn=self._warn)
        self._unread: Failure | None = None
        self._lock = Lock()  # an awaited call that was cancelled leaves its thread behind
        self._due: NextPart | None = None
        self._is_over = False
        self._parts = self._cut()

    @property
    def seconds(self) -> float:
        """How much has been read so far."""
        return self._splitter.total / SAMPLE_RATE

    def due(self) -> NextPart | None:
        """The first part that is not enqueued yet; None if there is no more.

        Safe to call again after whatever ended a call before, even while that still runs in its thread.

        Raises:
            RequestError: nothing of the recording can be read. If something could, the rest is missing
                in `end`.
            Cancelled: the reading was closed, or interrupted inside.
        """
        with self._lock:
            if self._due is None and not self._is_over:
                self._due = next(self._parts, None)
                if self._due is None and not self._is_over:
                    raise Cancelled("the recording was not read to its end")
            return self._due

    def enqueued(self) -> None:
        """The part that was due is on its way."""
        self._due = None

    def close(self) -> None:
        """Read no more of it, and let go of the file."""
        with self._lock:
            self._parts.close()

    def end(self) -> End:
        """What there is to say once there is no more."""
        return End(
            duration=self.seconds,
            language=self._language,
            warnings=tuple(self._warnings),
            unread=self._unread,
        )

    def _cut(self) -> Generator[NextPart, None, None]:
        number = 0
        for piece in self._readable():
            for stretch in self._splitter.push(piece) if piece is not None else self._splitter.finish():
                number += 1
                part = Part(
                    request_id=part_id(self.request_id, number),
                    offset=stretch.offset,
                    n_samples=stretch.n_samples,
                    lead=onset(stretch.samples, stretch.first) if stretch.first else 0,
                )
                yield number, part, stretch.samples
        self._is_over = True

    def _readable(self) -> Iterator[Samples | None]:
        """The pieces as far as they can be read, and None after the last."""
        try:
            yield from self._pieces
        except RequestError as error:
            if not self._splitter.total:
                raise
            self._unread = Failure(
                start=self.seconds,
                end=None,
                code=error.code,
                message=f"the rest cannot be read: {error.message}",
                retryable=False,
            )
        yield None

    def _hearing(self, split: Split) -> Hear:
        if split == "vad" and is_installed():
            return Silero()
        if split == "vad":
            self._warn("the Silero detector is not installed: split by loudness (split='energy')")
        return everything if split == "fixed" else Loudness()

    def _warn(self, warning: str) -> None:
        if warning not in self._warnings and len(self._warnings) < MAX_WARNINGS:
            self._warnings.append(warning)


def _bad(name: str, value: object, expected: str) -> RequestError:
    return RequestError(f"{name} is {repr(value)[:40]}: expected {expected}", "BAD_OPTION")
