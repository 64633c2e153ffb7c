"""Audio segments and texts → envelopes: message, payload and what the content is known by, to be sent."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, TypeAlias, overload

from producer.content import digest, wanted
from producer.fresh_id import fresh_id
from producer.message import Form
from producer.packing import Given, pack
from protocol.errors import RequestError
from protocol.metadata import check_metadata
from protocol.options import Options
from protocol.request import (
    AUDIO_ENCODINGS,
    MIN_SAMPLES,
    Encoding,
    Payload,
    Priority,
    Request,
    check_conversation,
    check_priority,
    check_request_id,
    check_tenant,
)
from protocol.routing import payload_key
from protocol.signing import keys_from_environment

#: How long audio waits for a worker, in seconds, before Redis drops it and the request fails with
#: `PAYLOAD_EXPIRED`: as long as Celery keeps results.
PAYLOAD_TTL = 86_400

#: Farthest that a deadline or an expiry may lie ahead, in seconds: a year. Nobody means more, and a time in
#: milliseconds or of year 9999 is then a mistake that is told.
MOST_AHEAD = 365 * 86_400

#: Requests that `submit_many` reads, and has in memory, before it sends them: 64 segments of 10 s are 20 MB.
#: Short ones go in one round trip, which this many make cheap for each.
CHUNK = 64

Named: TypeAlias = tuple[Given, str | None]
"""An audio segment or text, and its request id if the caller gave one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for all requests of one call; every instance is valid."""

    options: Options
    priority: Priority
    encoding: Encoding
    """Of audio."""
    expires: float | None
    """Seconds after which a request is no longer worth starting."""
    deadline: float | None
    """Seconds after which a transcript is late."""
    sample_rate: int | None
    payload_ttl: int
    conversation: str | None
    tenant: str | None
    metadata: Mapping[str, str] | None

    @classmethod
    def of(cls, given: Mapping[str, Any], defaults: Mapping[str, Any], payload_ttl: int) -> Terms:
        """What `given` and, where it says nothing, `defaults` ask for.

        Raises:
            RequestError: a value is wrong, or a name unknown.
        """
        options = {**defaults, **given}
        return cls(
            sample_rate=options.pop("sample_rate", None),
            priority=check_priority(options.pop("priority", Priority.NORMAL)),
            expires=check_ahead("expires", options.pop("expires", None)),
            deadline=check_ahead("deadline", options.pop("deadline", None)),
            encoding=_check_encoding(options.pop("encoding", Encoding.PCM)),
            conversation=check_conversation(options.pop("conversation", None)),
            tenant=check_tenant(options.pop("tenant", None)),
            metadata=check_metadata(options.pop("metadata", None)),
            options=Options.of(options),
            payload_ttl=payload_ttl,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One request, ready to be sent."""

    request_id: str
    warnings: tuple[str, ...]
    priority: Priority
    deadline_at: float | None
    """In seconds on Redis's clock."""
    payload_ttl: int
    conversation: str | None
    digest: bytes = field(repr=False)
    """What the content is known by; empty if the id was made for it, so that nobody will send it again."""
    message: bytes = field(repr=False)
    payload: bytes = field(repr=False)


def chunks(audios: Iterable[Given], request_ids: Sequence[str] | None) -> Iterator[list[Named]]:
    """`audios` with their ids, up to `CHUNK` at a time. Raises `RequestError` if ids are missing."""
    names = iter(request_ids) if request_ids is not None else None
    waiting = iter(audios)
    while chunk := list(islice(waiting, CHUNK)):
        ids = list(islice(names, len(chunk))) if names is not None else [None] * len(chunk)
        if len(ids) != len(chunk):
            raise RequestError("there are fewer request_ids than audio segments", "BAD_REQUEST_ID")
        yield list(zip(chunk, ids, strict=True))


class Sealer:
    """Makes the envelopes of requests that are sent together: what they share is done once.

    `now` is Redis's time in seconds, from which deadline and expiry count.
    """

    def __init__(self, terms: Terms, now: float) -> None:
        self._terms = terms
        self._now = now
        self._deadline_at = None if terms.deadline is None else now + terms.deadline
        self._wanted = wanted(terms.options, terms.conversation)
        self._forms: dict[Encoding, Form] = {}

    def seal(self, given: Given, request_id: str | None) -> Envelope:
        """Read one audio segment, or text, and write its message; the time that it waits counts from then on.

        Raises:
            RequestError: something about it or the id is wrong.
        """
        terms = self._terms
        name = fresh_id() if request_id is None else check_request_id(request_id)
        begun = time.monotonic()
        packed = pack(given, sample_rate=terms.sample_rate, encoding=terms.encoding)
        submitted_at = self._now + time.monotonic() - begun
        return Envelope(
            request_id=name,
            warnings=packed.warnings,
            priority=terms.priority,
            deadline_at=self._deadline_at,
            payload_ttl=terms.payload_ttl,
            conversation=terms.conversation,
            digest=b"" if request_id is None else digest(packed.content, self._wanted),
            message=self._form(packed.encoding).fill(
                name, length=packed.length, submitted_at=submitted_at, payload=packed.payload
            ),
            payload=packed.payload,
        )

    def _form(self, encoding: Encoding) -> Form:
        """That of the messages of those that travel so, written once."""
        if encoding not in self._forms:
            expires = self._terms.expires
            self._forms[encoding] = Form(
                self._example(encoding),
                expires_at=None if expires is None else self._now + expires,
                keys=keys_from_environment(),
            )
        return self._forms[encoding]

    def _example(self, encoding: Encoding) -> Request:
        """What all have in common, with the id and the payload of none."""
        name = fresh_id()
        return Request(
            request_id=name,
            payload=Payload(encoding=encoding, length=MIN_SAMPLES, key=payload_key(name)),
            options=self._terms.options,
            priority=self._terms.priority,
            submitted_at=self._now,
            deadline_at=self._deadline_at,
            conversation=self._terms.conversation,
            tenant=self._terms.tenant,
            metadata=self._terms.metadata,
        )


def seal(given: Given, request_id: str | None, terms: Terms, now: float) -> Envelope:
    """The envelope of one request; see `Sealer`. Raises `RequestError`."""
    return Sealer(terms, now).seal(given, request_id)


@overload
def seal_all(
    chunk: Iterable[Named], terms: Terms, now: float, *, errors_in_place: Literal[False] = False
) -> list[Envelope]: ...
@overload
def seal_all(
    chunk: Iterable[Named], terms: Terms, now: float, *, errors_in_place: Literal[True]
) -> list[Envelope | RequestError]: ...
def seal_all(
    chunk: Iterable[Named], terms: Terms, now: float, *, errors_in_place: bool = False
) -> Sequence[Envelope | RequestError]:
    """`seal` all of `chunk`; the first error is raised unless each is to take the place of its envelope."""
    sealer = Sealer(terms, now)
    sealed: list[Envelope | RequestError] = []
    for audio, request_id in chunk:
        try:
            sealed.append(sealer.seal(audio, request_id))
        except RequestError as error:
            if not errors_in_place:
                raise
            sealed.append(error)
    return sealed


def check_max_queued(most: object) -> int | None:
    """Return `most` if so many requests may wait, or None for any number; else raise `RequestError`."""
    if most is None:
        return None
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise RequestError(f"max_queued is {repr(most)[:40]}: expected a whole number above 0", "BAD_OPTION")
    return most


def check_ahead(name: str, seconds: object) -> float | None:
    """Return `seconds` if they are a length of time from now, or None for none; else raise `RequestError`."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= MOST_AHEAD:
        raise RequestError(
            f"{name} is {repr(seconds)[:40]}: expected seconds from now, above 0 and at most {MOST_AHEAD}",
            "BAD_DEADLINE",
        )
    return seconds


def _check_encoding(encoding: object) -> Encoding:
    known = {str(one): one for one in AUDIO_ENCODINGS}
    if (found := known.get(str(encoding))) is None:
        raise RequestError(
            f"encoding is {repr(encoding)[:40]}: expected one of {', '.join(known)}", "BAD_OPTION"
        )
    return found
