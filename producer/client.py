"""Submit a request and get a ticket, or submit it and wait for its transcript."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self, Unpack

from producer.admission import all_accepted
from producer.audio import AudioLike
from producer.connection import connect, redis_errors
from producer.exchange import run
from producer.given import GivenForMany, GivenForOne, GivenOptions, GivenTerms
from producer.offer import enqueue, offer_once
from producer.packing import Given
from producer.pending import DEFAULT_TIMEOUT, Progress, in_place
from producer.reading import MAX_IN_FLIGHT, Plan, Reading, Split
from producer.recording import RecordingTicket
from producer.results import Outcome, depths, statuses
from producer.standing import Standing
from producer.submission import PAYLOAD_TTL, Envelope, chunks, seal, seal_all
from producer.subscription import Listeners
from producer.ticket import Ticket, TicketGroup
from protocol.clock import SharedClock
from protocol.errors import ResultTimeout, TranscriptionError
from protocol.options import Options
from protocol.request import MAX_SECONDS, Encoding, Priority, check_request_id
from protocol.transcript import Status, Transcript


class Client:
    """The way in for callers: one connection pool, no thread, safe to share between threads."""

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        defaults: Options | None = None,
        payload_ttl: int = PAYLOAD_TTL,
        max_queued: int | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """Connects when first used.

        Args:
            redis_url: None reads ``REDIS_URL`` from the environment, else redis://127.0.0.1:6379/0.
            defaults: options for requests that do not say otherwise.
            payload_ttl: seconds that the audio of a request waits for a worker.
            max_queued: how many requests of a priority may wait when this client sends another; None
                leaves it to the operator's limit, which holds anyway.
            timeout: how long whoever waits does so where the call does not say, in seconds.

        Raises:
            RequestError: one of these makes no sense.
        """
        self._connection = connect(redis_url)
        self._listeners = Listeners(self._connection)
        self._clock = SharedClock(self._read_clock)
        self._standing = Standing.of(defaults, payload_ttl, max_queued, timeout)

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
        audio: Given,
        *,
        sample_rate: int | None = None,
        priority: str = Priority.NORMAL,
        request_id: str | None = None,
        deadline: float | None = None,
        expires: float | None = None,
        encoding: str = Encoding.PCM,
        conversation: str | None = None,
        tenant: str | None = None,
        metadata: Mapping[str, str] | None = None,
        **options: Unpack[GivenOptions],
    ) -> Ticket:
        """Enqueue one audio segment, or a text for a model that takes it.

        Args:
            audio: path, bytes or binary file of a WAV, FLAC, Ogg, MP3, M4A or WebM; or a NumPy array of
                samples, shape ``[n]`` or with up to 8 channels, alone or as ``(array, sample_rate)``; or a
                `producer.Text`.
            sample_rate: of an array, in Hz; None means 16 000.
            priority: ``"urgent"``, ``"normal"`` or ``"bulk"``.
            request_id: by which the result is known; None makes one. Sent again with the same audio and
                options it is the same request, of which this is the ticket; its priority stays.
            deadline: seconds after which the transcript is late. What cannot start by then, as far as
                the workers' speed tells, is refused; what turns out late goes after the others.
            expires: seconds after which it is no longer worth starting.
            encoding: how the audio waits in Redis: ``"pcm_s16le"``, or ``"flac"`` at about half the
                size for some milliseconds of work on each side.
            conversation: of which this is the next turn: it runs when the turns before it have ended, and
                their text is its prompt; 1 to 128 letters, digits, '_' or '-'.
            tenant: on whose behalf: of what a worker holds of one priority, tenants take turns; 1 to 64
                letters, digits, '_', '.' or '-'.
            metadata: notes of your own, text by name, that come back with the transcript: up to 16, of 512
                characters each.
            options: see `protocol.options.Options`.

        Raises:
            RequestError: something about the audio, text or options is wrong; the message says what. Or
                the id stands for another content already (`ID_CONFLICT`).
            Overloaded: too much waits, or too long for the deadline, or Redis is full; nothing of it is
                kept. `retry_after` says in how many seconds again may help.
            DeadlineExceeded: the deadline passed while the audio was read.
            QueueUnreachable: Redis does not answer; whether the request arrived is unknown.
        """
        terms = self._standing.terms(
            options,
            sample_rate=sample_rate,
            priority=priority,
            deadline=deadline,
            expires=expires,
            encoding=encoding,
            conversation=conversation,
            tenant=tenant,
            metadata=metadata,
        )
        envelope = seal(audio, request_id, terms, self._clock.now())
        all_accepted(offer_once(self._connection, [envelope], self._standing.max_queued))
        return self._ticket(envelope)

    def submit_many(
        self,
        audios: Iterable[Given],
        *,
        request_ids: Sequence[str] | None = None,
        sample_rate: int | None = None,
        priority: str = Priority.NORMAL,
        deadline: float | None = None,
        expires: float | None = None,
        encoding: str = Encoding.PCM,
        conversation: str | None = None,
        tenant: str | None = None,
        metadata: Mapping[str, str] | None = None,
        **options: Unpack[GivenOptions],
    ) -> TicketGroup:
        """Enqueue many audio segments under the same options, in few round trips.

        With a `conversation` they are its next turns, in order.

        Raises as `submit` does, for the first that is refused. All else of its chunk of 64 that fitted,
        and the chunks before, are then enqueued: with `request_ids`, the same call sends only the rest.
        """
        terms = self._standing.terms(
            options,
            sample_rate=sample_rate,
            priority=priority,
            deadline=deadline,
            expires=expires,
            encoding=encoding,
            conversation=conversation,
            tenant=tenant,
            metadata=metadata,
        )
        tickets: list[Ticket] = []
        for chunk in chunks(audios, request_ids):
            sealed = seal_all(chunk, terms, self._clock.now())
            all_accepted(offer_once(self._connection, sealed, self._standing.max_queued))
            tickets += map(self._ticket, sealed)
        return TicketGroup(self._connection, self._standing, tickets)

    def submit_recording(
        self,
        audio: AudioLike,
        *,
        request_id: str | None = None,
        split: Split = "vad",
        max_segment_seconds: float = MAX_SECONDS,
        max_in_flight: int = MAX_IN_FLIGHT,
        **given: Unpack[GivenTerms],
    ) -> RecordingTicket:
        """Begin with sound of any length: cut in its pauses, transcribed in parts, put together in order.

        Returns with the first part enqueued; who waits on the ticket moves the rest on.

        Args:
            audio: as for `submit`, up to 24 h; files are read as they go, not into memory.
            request_id: up to 120 characters; the parts are ``<id>-0001`` and so on. Begun again with the
                same id, sound and options, only what has no result yet is transcribed.
            split: ``"vad"``, where the Silero model hears nobody (where it is installed, else as
                ``"energy"``), ``"energy"``, where it is quiet, or ``"fixed"``, wherever a part is full.
            max_segment_seconds: longest part, 1 to 30 s.
            max_in_flight: how many parts wait or run at a time.
            given: options, priority and the like, as for `submit`, for every part. The `deadline` is that
                of the whole: parts that cannot start by then go after all that can still be in time.

        Raises:
            RequestError: nothing of it can be read, or an option is wrong.
            Overloaded: its first part could not start before the deadline.
            DeadlineExceeded: the deadline passed while its first part was read.
            QueueUnreachable: Redis does not answer.
        """
        plan = Plan(split=split, max_segment_seconds=max_segment_seconds, max_in_flight=max_in_flight)
        # Whatever is wrong with them is refused before anything is read.
        language = self._standing.terms(given).options.language
        rate = given.pop("sample_rate", None)
        reading = Reading(audio, plan=plan, request_id=request_id, sample_rate=rate, language=language)
        ticket = RecordingTicket(self, self._connection, self._standing, reading.request_id, reading, given)
        ticket.begin()
        return ticket

    def get_recording(self, request_id: str) -> RecordingTicket:
        """The ticket of a recording that another process has begun, to collect or to cancel it."""
        return RecordingTicket(self, self._connection, self._standing, check_request_id(request_id))

    def transcribe(
        self, audio: Given, *, timeout: float | None = None, **given: Unpack[GivenForOne]
    ) -> Transcript:
        """Submit one audio segment and wait for its transcript; see `submit` and `Ticket.result`."""
        return self.submit(audio, **given).result(timeout)

    def transcribe_batch(
        self,
        audios: Iterable[Given],
        *,
        timeout: float | None = None,
        progress: Progress | None = None,
        **given: Unpack[GivenForMany],
    ) -> list[Outcome]:
        """Submit audio segments and wait for all; one that fails has its error in its place.

        That goes for audio that cannot be read, for what found no room in the queue within `timeout`
        seconds in all (`Overloaded`), and for what has no result by then: a `ResultTimeout`, and the
        request goes on. `progress` is as in `TicketGroup.results`.

        Raises:
            RequestError: an option is wrong, so that nothing was enqueued, or ids are missing.
            QueueUnreachable: as `submit` does; what was enqueued goes on.
        """
        request_ids = given.pop("request_ids", None)
        terms = self._standing.terms(given)
        give_up_at = self._standing.give_up_at(timeout)
        entries: list[Ticket | TranscriptionError] = []
        for chunk in chunks(audios, request_ids):
            sealed = seal_all(chunk, terms, self._clock.now(), errors_in_place=True)
            offered = enqueue(self._connection, sealed, self._standing.max_queued, give_up_at)
            entries += [self._ticket(one) if isinstance(one, Envelope) else one for one in offered]
        sent = [one for one in entries if isinstance(one, Ticket)]
        group = TicketGroup(self._connection, self._standing, sent)
        ended: dict[str, Outcome] = {}
        try:
            for ticket, outcome in group.as_completed(give_up_at - time.monotonic()):
                ended[ticket.request_id] = outcome
                if progress:
                    progress(len(entries) - len(group) + len(ended), len(entries))
        except ResultTimeout:
            pass  # in_place says so for each
        return in_place(entries, ended)

    def get(self, request_id: str) -> Ticket:
        """The ticket of a request that anyone submitted, at any time, from any process."""
        return self._ticket_of(check_request_id(request_id))

    def result(self, request_id: str, *, timeout: float | None = 0.0) -> Transcript:
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

    def _ticket(self, envelope: Envelope) -> Ticket:
        return self._ticket_of(envelope.request_id, envelope.warnings)

    def _ticket_of(self, request_id: str, warnings: Sequence[str] = ()) -> Ticket:
        return Ticket(self._connection, self._standing, request_id, warnings, listeners=self._listeners)

    def _read_clock(self) -> tuple[int, int]:
        with redis_errors():
            seconds, microseconds = self._connection.time()
        return seconds, microseconds
