"""One audio segment to transcribe, or a text, and what the caller wants of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from protocol.errors import RequestError
from protocol.metadata import check_metadata
from protocol.options import Options

#: Every audio segment travels as 16 kHz mono, the rate Whisper was trained on.
SAMPLE_RATE = 16_000

#: Longest audio segment, in seconds: Whisper's window. Longer sound is a recording, to be split first.
MAX_SECONDS = 30.0
#: Shortest audio segment, in seconds: below this there is no syllable to hear.
MIN_SECONDS = 0.05
MAX_SAMPLES = int(MAX_SECONDS * SAMPLE_RATE)
MIN_SAMPLES = int(MIN_SECONDS * SAMPLE_RATE)

#: Longest text, in characters: what OpenAI's speech endpoint takes at once.
MAX_CHARACTERS = 4_096
MAX_TEXT_BYTES = 4 * MAX_CHARACTERS  # in UTF-8

#: Characters of a text that weigh as much as a second of audio where batches are put together: about as many
#: as are said in one.
CHARACTERS_A_SECOND = 15.0

#: Largest audio carried inside a message, in bytes; above it a payload key is cheaper (kombu encodes
#: inline bytes as base64 and keeps a second copy while the message is unacknowledged).
MAX_INLINE_BYTES = 32_768

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

#: A tenant is named as a host or a user often is, hence the dot.
_TENANT = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Priority(StrEnum):
    """How soon a request should run; urgent overtakes normal, normal overtakes bulk."""

    URGENT = "urgent"
    NORMAL = "normal"
    BULK = "bulk"


class Encoding(StrEnum):
    """How a payload's bytes hold its samples, or its text."""

    PCM = "pcm_s16le"
    """Signed 16-bit little-endian samples, 16 kHz mono, no header."""
    FLAC = "flac"
    """A FLAC file, 16 kHz mono, 16 bit."""
    TEXT = "utf-8"
    """Text, and no audio: for models that take it."""


AUDIO_ENCODINGS = (Encoding.PCM, Encoding.FLAC)

Medium = Literal["audio", "text"]
"""What a request brings, and a model takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """Where a request's audio or text is: under a Redis key of its own, or inside the message."""

    encoding: Encoding
    length: int
    """How many samples at 16 kHz, or characters of a text, as announced by the producer."""
    key: str | None = None
    inline: bytes | None = field(default=None, repr=False)
    digest: str | None = None
    """Of the bytes under the key (`protocol.signing.digest_of`); None if nobody has signed them."""

    def __post_init__(self) -> None:
        if (self.key is None) == (self.inline is None):
            raise RequestError(f"{self.medium} needs either a key or inline bytes, and not both")
        if self.medium == "text":
            check_characters(self.length)
        elif not MIN_SAMPLES <= self.length <= MAX_SAMPLES:
            raise wrong_length(self.length)

    @property
    def medium(self) -> Medium:
        """Which of the two it is."""
        return "text" if self.encoding is Encoding.TEXT else "audio"

    @property
    def seconds(self) -> float:
        """Length of the audio segment in seconds; of a text about how long it takes to say it."""
        return self.length / (CHARACTERS_A_SECOND if self.medium == "text" else SAMPLE_RATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a caller asks: one audio segment or text and its options, known by its `request_id`."""

    request_id: str
    payload: Payload
    options: Options = field(default_factory=Options)
    priority: Priority = Priority.NORMAL
    submitted_at: float | None = None
    """When it was enqueued, in seconds since the epoch on Redis's clock; None if the sender did not say."""
    deadline_at: float | None = None
    """When it is wanted, on the same clock; one that is late goes on, after those that can be in time."""
    conversation: str | None = None
    """Of which it is a turn: heard after the turns before it, with their text as its prompt."""
    tenant: str | None = None
    """On whose behalf it is asked: of what a worker holds of one priority, tenants take turns."""
    metadata: Mapping[str, str] | None = field(default=None, repr=False, hash=False)
    """The caller's own notes, which come back with the transcript; nobody looks into them."""

    def __post_init__(self) -> None:
        check_request_id(self.request_id)
        check_conversation(self.conversation)
        check_tenant(self.tenant)
        object.__setattr__(self, "metadata", check_metadata(self.metadata))


def wrong_length(samples: int) -> RequestError:
    """The error for an audio segment of `samples` samples at 16 kHz that is too short or too long."""
    seconds = samples / SAMPLE_RATE
    if samples == 0:
        return RequestError("the audio is empty: 0 samples", "AUDIO_EMPTY")
    if samples < MIN_SAMPLES:
        return RequestError(f"the audio lasts {seconds:.4f} s, the shortest is {MIN_SECONDS} s", "TOO_SHORT")
    return RequestError(
        f"the audio lasts {seconds:.2f} s, the longest audio segment is {MAX_SECONDS:.0f} s", "TOO_LONG"
    )


def check_characters(count: int) -> None:
    """Raise `RequestError` unless a text may have so many characters."""
    if count < 1:
        raise RequestError("the text is empty: 0 characters", "TEXT_EMPTY")
    if count > MAX_CHARACTERS:
        raise RequestError(f"the text has {count} characters, the limit is {MAX_CHARACTERS}", "TOO_LONG")


def check_text(text: str) -> None:
    """Raise `RequestError` unless a request may bring this text."""
    check_characters(len(text))
    if text.isspace():
        raise RequestError(f"the text has nothing but space, {len(text)} characters of it", "TEXT_EMPTY")


def check_request_id(request_id: object) -> str:
    """Return `request_id` if it is one, else raise `RequestError`."""
    if not isinstance(request_id, str) or not _ID.fullmatch(request_id):
        raise RequestError(
            f"request_id is {repr(request_id)[:60]}: expected 1 to 128 letters, digits, '_' or '-'",
            "BAD_REQUEST_ID",
        )
    return request_id


def check_conversation(conversation: object) -> str | None:
    """Return `conversation` if it is the id of one, or None for none; else raise `RequestError`."""
    if conversation is None:
        return None
    if not isinstance(conversation, str) or not _ID.fullmatch(conversation):
        raise RequestError(
            f"conversation is {repr(conversation)[:60]}: expected 1 to 128 letters, digits, '_' or '-'",
            "BAD_CONVERSATION",
        )
    return conversation


def check_tenant(tenant: object) -> str | None:
    """Return `tenant` if it is the name of one, or None for none; else raise `RequestError`."""
    if tenant is None:
        return None
    if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
        raise RequestError(
            f"tenant is {repr(tenant)[:60]}: expected 1 to 64 letters, digits, '_', '.' or '-'",
            "BAD_TENANT",
        )
    return tenant


def check_priority(priority: object) -> Priority:
    """Return the `Priority` that `priority` names, else raise `RequestError`."""
    try:
        return Priority(priority)  # type: ignore[arg-type]  # anything may have been given
    except ValueError:
        raise RequestError(
            f"priority is {repr(priority)[:40]}: expected one of {', '.join(Priority)}", "BAD_PRIORITY"
        ) from None
