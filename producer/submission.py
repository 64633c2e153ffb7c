"""Audio segments → the commands that enqueue them, each with its payload in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, TypeAlias, overload
from uuid import uuid4

from producer.audio import AudioLike, encode_payload, read_audio
from producer.exchange import Command, Exchange
from producer.message import task_message
from protocol.errors import RequestError
from protocol.options import Options
from protocol.request import Encoding, Payload, Priority, Request, check_priority, check_request_id
from protocol.routing import payload_key, queue_key

#: How long audio waits for a worker, in seconds, before Redis drops it and the request fails with
#: `PAYLOAD_EXPIRED`: as long as Celery keeps results.
PAYLOAD_TTL = 86_400

#: Requests per round trip of `submit_many`: 64 segments of 10 s are 20 MB, which one transaction
#: writes in tens of milliseconds without keeping Redis from its other clients for long.
CHUNK = 64

Named: TypeAlias = tuple[AudioLike, str | None]
"""An audio segment, and its request id if the caller gave one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for all audio segments of one call; every instance is valid."""

    options: Options
    priority: Priority
    encoding: Encoding
    expires: float | None
    """Seconds after which a request is no longer worth starting."""
    sample_rate: int | None
    payload_ttl: int

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
            expires=_check_expires(options.pop("expires", None)),
            encoding=_check_encoding(options.pop("encoding", Encoding.PCM)),
            options=Options.of(options),
            payload_ttl=payload_ttl,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One request, ready to be sent."""

    request_id: str
    warnings: tuple[str, ...]
    commands: tuple[Command, ...] = field(repr=False)


def chunks(audios: Iterable[AudioLike], request_ids: Sequence[str] | None) -> Iterator[list[Named]]:
    """`audios` with their ids, up to `CHUNK` at a time. Raises `RequestError` if ids are missing."""
    names = iter(request_ids) if request_ids is not None else None
    waiting = iter(audios)
    while chunk := list(islice(waiting, CHUNK)):
        ids = list(islice(names, len(chunk))) if names is not None else [None] * len(chunk)
        if len(ids) != len(chunk):
            raise RequestError("there are fewer request_ids than audio segments", "BAD_REQUEST_ID")
        yield list(zip(chunk, ids, strict=True))


def seal(audio: AudioLike, request_id: str | None, terms: Terms, now: float) -> Envelope:
    """Read one audio segment and write its message; `now` is Redis's time in seconds.

    Raises:
        RequestError: something about the audio or the id is wrong.
    """
    request_id = uuid4().hex if request_id is None else check_request_id(request_id)
    read = read_audio(audio, sample_rate=terms.sample_rate)
    key = payload_key(request_id)
    request = Request(
        request_id=request_id,
        payload=Payload(encoding=terms.encoding, samples=len(read.samples), key=key),
        options=terms.options,
        priority=terms.priority,
        submitted_at=now,
    )
    expires_at = None if terms.expires is None else now + terms.expires
    commands = (
        ("SET", key, encode_payload(read.samples, terms.encoding), "EX", terms.payload_ttl),
        ("LPUSH", queue_key(terms.priority), task_message(request, expires_at=expires_at)),
    )
    return Envelope(request_id=request_id, warnings=read.warnings, commands=commands)


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
    sealed: list[Envelope | RequestError] = []
    for audio, request_id in chunk:
        try:
            sealed.append(seal(audio, request_id, terms, now))
        except RequestError as error:
            if not errors_in_place:
                raise
            sealed.append(error)
    return sealed


def submission(sealed: Iterable[Envelope | RequestError]) -> Exchange[None]:
    """Enqueue the requests of these envelopes, all of them or none."""
    commands = [command for one in sealed if isinstance(one, Envelope) for command in one.commands]
    return Exchange(commands=commands, read=lambda _: None, transaction=True)


def _check_encoding(encoding: object) -> Encoding:
    try:
        return Encoding(str(encoding))
    except ValueError:
        raise RequestError(
            f"encoding is {repr(encoding)[:40]}: expected one of {', '.join(Encoding)}", "BAD_OPTION"
        ) from None


def _check_expires(expires: object) -> float | None:
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
    return expires
