"""Submit a request and get a ticket, or submit it and wait for its transcript."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from producer.audio import AudioLike
from producer.connection import connect, redis_errors
from producer.exchange import run
from producer.given import GivenForMany, GivenForOne, GivenOptions
from producer.pending import DEFAULT_TIMEOUT, Progress, in_place
from producer.results import Outcome, depths, statuses
from producer.submission import PAYLOAD_TTL, Envelope, Terms, chunks, seal, seal_all, submission
from producer.ticket import Ticket, TicketGroup
from protocol.clock import SharedClock
from protocol.errors import RequestError, ResultTimeout
from protocol.options import Options
from protocol.request import Encoding, Priority, check_request_id
from protocol.transcript import Status, Transcript


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
        **options: Unpack[GivenOptions],
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
        terms = self._terms(
            options, sample_rate=sample_rate, priority=priority, expires=expires, encoding=encoding
        )
        envelope = seal(audio, request_id, terms, self._clock.now())
        run(self._connection, submission([envelope]))
        return self._ticket(envelope)

    def submit_many(
        self,
        audios: Iterable[AudioLike],
        *,
        request_ids: Sequence[str] | None = None,
        sample_rate: int | None = None,
        priority: str = Priority.NORMAL,
        expires: float | None = None,
        encoding: str = Encoding.PCM,
        **options: Unpack[GivenOptions],
    ) -> TicketGroup:
        """Enqueue many audio segments under the same options, in few round trips.

        Raises as `submit` does; audio segments of earlier chunks of 64 are then enqueued already.
        """
        terms = self._terms(
            options, sample_rate=sample_rate, priority=priority, expires=expires, encoding=encoding
        )
        tickets: list[Ticket] = []
        for chunk in chunks(audios, request_ids):
            sealed = seal_all(chunk, terms, self._clock.now())
            run(self._connection, submission(sealed))
            tickets += map(self._ticket, sealed)
        return TicketGroup(self._connection, tickets)

    def transcribe(
        self, audio: AudioLike, *, timeout: float | None = DEFAULT_TIMEOUT, **given: Unpack[GivenForOne]
    ) -> Transcript:
        """Submit one audio segment and wait for its transcript; see `submit` and `Ticket.result`."""
        return self.submit(audio, **given).result(timeout)

    def transcribe_batch(
        self,
        audios: Iterable[AudioLike],
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        progress: Progress | None = None,
        **given: Unpack[GivenForMany],
    ) -> list[Outcome]:
        """Submit audio segments and wait for all; one that fails has its error in its place.

        That goes for audio that cannot be read, and for what has no result after `timeout` seconds in
        all: a `ResultTimeout`, and the request goes on. `progress` is as in `TicketGroup.results`.

        Raises:
            RequestError: an option is wrong, so that nothing was enqueued, or ids are missing.
            Overloaded, QueueUnreachable: as `submit` does; what was enqueued goes on.
        """
        request_ids = given.pop("request_ids", None)
        terms = self._terms(given)
        entries: list[Ticket | RequestError] = []
        for chunk in chunks(audios, request_ids):
            sealed = seal_all(chunk, terms, self._clock.now(), errors_in_place=True)
            run(self._connection, submission(sealed))
            entries += [self._ticket(one) if isinstance(one, Envelope) else one for one in sealed]
        group = TicketGroup(self._connection, [one for one in entries if isinstance(one, Ticket)])
        ended: dict[str, Outcome] = {}
        try:
            for ticket, outcome in group.as_completed(timeout):
                ended[ticket.request_id] = outcome
                if progress:
                    progress(len(entries) - len(group) + len(ended), len(entries))
        except ResultTimeout:
            pass  # in_place says so for each
        return in_place(entries, ended)

    def get(self, request_id: str) -> Ticket:
        """The ticket of a request that anyone submitted, at any time, from any process."""
        return Ticket(self._connection, check_request_id(request_id), payload_ttl=self._payload_ttl)

    def result(self, request_id: str, *, timeout: float = 0.0) -> Transcript:
        """The transcript of a request; see `Ticket.result`."""
        return self.get(request_id).result(timeout)

    def status(self, request_id: str) -> Status:
        """Where a request is."""
        return self.get(request_id).status

    def statuses(self, request_ids: Sequence[str]) -> list[Status]:
        """Where many requests are, in one round trip."""
        return run(self._connection, statuses([check_request_id(name) for name in request_ids]))

    def cancel(self, request_id: str) -> bool:
        """Cancel a request that still waits; True if it did.

        Then it never runs, and it is `cancelled` from here on, for whoever asks through this package; a
        worker tells Celery and removes the audio when the request's turn comes. False leaves everything
        as it is: the request is finished, unknown, or running, which it then does to its end, since its
        batch is others' too. (A request that waits for another attempt counts as waiting even once that
        attempt has begun, and may then still succeed.)

        Raises:
            QueueUnreachable: Redis does not answer; whether it is cancelled is unknown. Again is safe.
        """
        return self.get(request_id).cancel()

    def queue_depth(self) -> dict[str, int]:
        """How many requests wait in Redis, by priority; those that a worker holds are not counted."""
        return run(self._connection, depths())

    def _terms(self, given: Mapping[str, Any], **more: Any) -> Terms:
        return Terms.of({**given, **more}, self._defaults, self._payload_ttl)

    def _ticket(self, envelope: Envelope) -> Ticket:
        return Ticket(self._connection, envelope.request_id, envelope.warnings, payload_ttl=self._payload_ttl)

    def _read_clock(self) -> tuple[int, int]:
        with redis_errors():
            seconds, microseconds = self._connection.time()
        return seconds, microseconds
