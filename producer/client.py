"""Submit a request and get a ticket."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from producer.audio import AudioLike, encode_payload, read_audio
from producer.connection import connect, redis_errors
from producer.message import task_message
from producer.results import read_statuses
from producer.ticket import Ticket, TicketGroup
from protocol.clock import SharedClock
from protocol.errors import RequestError
from protocol.options import Options
from protocol.request import Encoding, Payload, Priority, Request, check_priority, check_request_id
from protocol.routing import payload_key, queue_key
from protocol.transcript import Status, Transcript

#: How long audio waits for a worker, in seconds, before Redis drops it and the request fails with
#: `PAYLOAD_EXPIRED`: as long as Celery keeps results.
PAYLOAD_TTL = 86_400

#: Requests per round trip of `submit_many`: 64 segments of 10 s are 20 MB, which one transaction
#: writes in tens of milliseconds without keeping Redis from its other clients for long.
CHUNK = 64


class Client:
    """The way in for callers: one connection pool, no thread, safe to share between threads."""

    def __init__(
        self, redis_url: str | None = None, *, defaults: Options | None = None, payload_ttl: int = PAYLOAD_TTL
    ) -> None:
        """Connects when first used.

        Args:
            redis_url: None reads ``REDIS_URL`` from the environment, else redis://127.0.0.1:6379/0.
            defaults: options for requests that do not say otherwise.
            payload_ttl: seconds that the audio of a request waits for a worker.
        """
        self._connection = connect(redis_url)
        self._clock = SharedClock(self._read_clock)
        self._defaults = defaults.changes() if defaults else {}
        self._payload_ttl = payload_ttl

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client opens new ones if it is used again."""
        self._connection.close()

    def submit(
        self,
        audio: AudioLike,
        *,
        sample_rate: int | None = None,
        priority: str = Priority.NORMAL,
        request_id: str | None = None,
        expires: float | None = None,
        encoding: str = Encoding.PCM,
        **options: Any,
    ) -> Ticket:
        """Enqueue one audio segment.

        Args:
            audio: path, bytes or binary file of a WAV, FLAC, Ogg, MP3, M4A or WebM; or a NumPy array of
                samples, shape ``[n]`` or with up to 8 channels, alone or as ``(array, sample_rate)``.
            sample_rate: of an array, in Hz; None means 16 000.
            priority: ``"urgent"``, ``"normal"`` or ``"bulk"``.
            request_id: by which the result is known; None makes one.
            expires: seconds after which it is no longer worth starting.
            encoding: how the audio waits in Redis: ``"pcm_s16le"``, or ``"flac"`` at about half the
                size for some milliseconds of work on each side.
            options: see `protocol.options.Options`.

        Raises:
            RequestError: something about the audio or the options is wrong; the message says what.
            Overloaded: Redis has no room.
            QueueUnreachable: Redis does not answer; whether the request arrived is unknown.
        """
        group = self._submit([audio], [request_id], sample_rate, priority, expires, encoding, options)
        return group[0]

    def submit_many(
        self,
        audios: Iterable[AudioLike],
        *,
        request_ids: Sequence[str] | None = None,
        sample_rate: int | None = None,
        priority: str = Priority.NORMAL,
        expires: float | None = None,
        encoding: str = Encoding.PCM,
        **options: Any,
    ) -> TicketGroup:
        """Enqueue many audio segments under the same options, in few round trips.

        Raises as `submit` does; audio segments of earlier chunks of 64 are then enqueued already.
        """
        names = iter(request_ids) if request_ids is not None else None
        waiting = iter(audios)
        tickets: list[Ticket] = []
        while chunk := list(islice(waiting, CHUNK)):
            ids = list(islice(names, len(chunk))) if names is not None else [None] * len(chunk)
            if len(ids) != len(chunk):
                raise RequestError("there are fewer request_ids than audio segments", "BAD_REQUEST_ID")
            tickets += self._submit(chunk, ids, sample_rate, priority, expires, encoding, options)
        return TicketGroup(self._connection, tickets)

    def get(self, request_id: str) -> Ticket:
        """The ticket of a request that anyone submitted, at any time, from any process."""
        return Ticket(self._connection, check_request_id(request_id))

    def result(self, request_id: str, *, timeout: float = 0.0) -> Transcript:
        """The transcript of a request; see `Ticket.result`."""
        return self.get(request_id).result(timeout)

    def status(self, request_id: str) -> Status:
        """Where a request is."""
        return self.get(request_id).status

    def statuses(self, request_ids: Sequence[str]) -> list[Status]:
        """Where many requests are, in one round trip."""
        return read_statuses(self._connection, [check_request_id(name) for name in request_ids])

    def queue_depth(self) -> dict[str, int]:
        """How many requests wait in Redis, by priority; those that a worker holds are not counted."""
        with redis_errors(), self._connection.pipeline(transaction=False) as pipe:
            for priority in Priority:
                pipe.llen(queue_key(priority))
            depths = pipe.execute()
        return dict(zip(map(str, Priority), depths, strict=True))

    def _submit(
        self,
        audios: Sequence[AudioLike],
        request_ids: Sequence[str | None],
        sample_rate: int | None,
        priority: str,
        expires: float | None,
        encoding: str,
        options: dict[str, Any],
    ) -> list[Ticket]:
        chosen = Options.of({**self._defaults, **options})
        urgency = check_priority(priority)
        kind = _check_encoding(encoding)
        now = self._clock.now()
        expires_at = _check_expires(expires, now)
        tickets = []
        with redis_errors(), self._connection.pipeline(transaction=True) as pipe:
            for audio, given_id in zip(audios, request_ids, strict=True):
                request_id = uuid4().hex if given_id is None else check_request_id(given_id)
                read = read_audio(audio, sample_rate=sample_rate)
                key = payload_key(request_id)
                request = Request(
                    request_id=request_id,
                    payload=Payload(encoding=kind, samples=len(read.samples), key=key),
                    options=chosen,
                    priority=urgency,
                    submitted_at=now,
                )
                pipe.set(key, encode_payload(read.samples, kind), ex=self._payload_ttl)
                pipe.lpush(queue_key(urgency), task_message(request, expires_at=expires_at))
                tickets.append(Ticket(self._connection, request_id, read.warnings))
            pipe.execute()
        return tickets

    def _read_clock(self) -> tuple[int, int]:
        with redis_errors():
            seconds, microseconds = self._connection.time()
        return seconds, microseconds


def _check_encoding(encoding: object) -> Encoding:
    try:
        return Encoding(str(encoding))
    except ValueError:
        raise RequestError(
            f"encoding is {repr(encoding)[:40]}: expected one of {', '.join(Encoding)}", "BAD_OPTION"
        ) from None


def _check_expires(expires: object, now: float) -> float | None:
    if expires is None:
        return None
    if (
        isinstance(expires, bool)
        or not isinstance(expires, int | float)
        or not 0 < expires <= PAYLOAD_TTL * 365
    ):
        raise RequestError(
            f"expires is {repr(expires)[:40]}: expected seconds from now, more than 0", "BAD_DEADLINE"
        )
    return now + expires
