"""Payload → samples or text: fetches a batch's payloads and contexts in one round trip, and decodes them."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
import redis
from numpy.typing import NDArray

from protocol.errors import PayloadUnreachable, RequestError, TranscriptionError
from protocol.request import (
    MAX_CHARACTERS,
    MAX_SAMPLES,
    MAX_TEXT_BYTES,
    SAMPLE_RATE,
    Encoding,
    Payload,
    Request,
    check_text,
    wrong_length,
)
from protocol.routing import PAYLOAD_KEY_PREFIX, context_key
from protocol.signing import digest_of
from workers.engine.base import Given
from workers.redis_connection import connect
from workers.transport.shared_keys import WRONG_TYPE

#: Longest silence of Redis, in seconds, before it is asked on a new connection. It sends 8 MB (a full batch
#: of 30 s segments) without a pause: this does not bound how long that takes.
SOCKET_TIMEOUT = 2.0
SOCKET_CONNECT_TIMEOUT = 1.0

#: Pause before Redis is asked again, in seconds.
AGAIN_SECONDS = 0.5

#: Half the range of int16: what faster-whisper divides by (`faster_whisper.audio.decode_audio`).
FULL_SCALE = 32_768.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the turns of a conversation before this one have said."""

    text: str = field(default="", repr=False)
    """The end of it, at most 4 096 bytes of UTF-8."""
    turns: int = 0
    """How many of them have said something."""


NOTHING_BEFORE = Context()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a request's row is made of."""

    given: Given = field(repr=False)
    context: Context = NOTHING_BEFORE


class Payloads:
    """Where the payloads of waiting requests lie, and what was said before them."""

    def __init__(self, redis_url: str, *, patience: float) -> None:
        """`patience` is how long Redis may be away before requests fail for it, in seconds."""
        self._patience = patience
        self._redis = connect(
            redis_url, socket_timeout=SOCKET_TIMEOUT, socket_connect_timeout=SOCKET_CONNECT_TIMEOUT
        )

    def fetch(
        self, requests: Sequence[Request], known: Sequence[Given | None] = ()
    ) -> list[Fetched | TranscriptionError]:
        """What each request brings, and its context, or why there is nothing; one round trip for all.

        `known` is what those bring, in order, whose payload need not be fetched; None for the others.
        """
        known = known or [None] * len(requests)
        missing = [one for one, given in zip(requests, known, strict=True) if given is None]
        keys = [one.payload.key for one in missing if one.payload.key is not None]
        wanted = [key for key in keys if key.startswith(PAYLOAD_KEY_PREFIX)]
        names = [name for name in map(_conversation, requests) if name is not None]
        try:
            found, contexts = self._get(wanted, names)
        except redis.RedisError as error:
            lost = PayloadUnreachable(f"Redis did not give the payload: {type(error).__name__}")
            return [lost for _ in requests]
        stored = dict(zip(wanted, found, strict=True))
        before = dict(zip(names, map(_context, contexts), strict=True))
        return [
            Fetched(given=given, context=before.get(_conversation(one) or "", NOTHING_BEFORE))
            if not isinstance(given, TranscriptionError)
            else given
            for one, given in zip(requests, self._given(requests, known, stored), strict=True)
        ]

    def _given(
        self, requests: Sequence[Request], known: Sequence[Given | None], stored: Mapping[str, Any]
    ) -> Iterator[Given | TranscriptionError]:
        for request, given in zip(requests, known, strict=True):
            yield self._decode(request.payload, stored) if given is None else given

    def _get(self, keys: Sequence[str], conversations: Sequence[str]) -> tuple[list[Any], list[Any]]:
        """What is stored of them. Asks for as long as Redis may be away: others wait for it too."""
        give_up_at = time.monotonic() + self._patience
        pause = 0.0  # first it may only be the connection that is dead
        while keys or conversations:
            try:
                return self._get_once(keys, conversations)
            except redis.RedisError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(pause)
                pause = AGAIN_SECONDS
        return [], []

    def _get_once(self, keys: Sequence[str], conversations: Sequence[str]) -> tuple[list[Any], list[Any]]:
        if not conversations:
            return self._redis.mget(keys) if keys else [], []
        with self._redis.pipeline(transaction=False) as pipe:
            if keys:
                pipe.mget(keys)
            for name in conversations:
                pipe.hmget(context_key(name), "text", "turns")
            answers = pipe.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, redis.RedisError) and not _is_wrong_type(answer):
                raise answer
        return (answers[0], answers[1:]) if keys else ([], answers)

    def _decode(self, payload: Payload, stored: Mapping[str, Any]) -> Given | TranscriptionError:
        content = payload.inline if payload.key is None else stored.get(payload.key)
        if payload.key is not None and payload.key not in stored:
            return RequestError(f"audio.key does not start with {PAYLOAD_KEY_PREFIX!r}", "PATH_FORBIDDEN")
        if content is None:
            return RequestError(
                f"the {payload.medium} has expired or was removed before it was needed", "PAYLOAD_EXPIRED"
            )
        try:
            return decode_payload(content, payload)
        except TranscriptionError as error:
            return error


def _conversation(request: Request) -> str | None:
    """Of which the context is wanted."""
    return request.conversation if request.options.condition_on_previous_text else None


def _context(stored: Sequence[bytes | None] | redis.RedisError) -> Context:
    """What Redis holds of it; where its text was cut, the first character may be no whole one.

    What somebody else put there is nothing.
    """
    if isinstance(stored, redis.RedisError):
        return NOTHING_BEFORE
    text, turns = stored
    said = int(turns) if turns is not None and turns.isdigit() else 0
    return Context(text=(text or b"").decode("utf-8", "ignore").strip(), turns=said)


def _is_wrong_type(error: redis.RedisError) -> bool:
    return str(error).startswith(WRONG_TYPE)


def decode_payload(content: bytes, payload: Payload) -> Given:
    """Turn a payload's bytes into samples, or text.

    Raises:
        RequestError: the bytes are not what the message announced.
    """
    if payload.digest is not None and digest_of(content) != payload.digest:
        raise RequestError(f"the {payload.medium} is not the one that was signed", "CHECKSUM_MISMATCH")
    if payload.encoding is Encoding.TEXT:
        return _decode_text(content, payload.length)
    pcm = _decode_flac(content) if payload.encoding is Encoding.FLAC else _decode_pcm(content)
    if len(pcm) != payload.length:
        raise RequestError(
            f"the audio has {len(pcm)} samples, the message announced {payload.length}", "AUDIO_CORRUPT"
        )
    return pcm.astype(np.float32) / np.float32(FULL_SCALE)


def _decode_text(content: bytes, length: int) -> str:
    if len(content) > MAX_TEXT_BYTES:
        raise RequestError(
            f"the text has {len(content)} bytes, the limit is {MAX_CHARACTERS} characters", "TOO_LONG"
        )
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise RequestError(f"the text is not UTF-8 at byte {error.start}", "BAD_TEXT") from None
    if len(text) != length:
        raise RequestError(f"the text has {len(text)} characters, the message announced {length}", "BAD_TEXT")
    check_text(text)
    return text


def _decode_pcm(content: bytes) -> NDArray[np.int16]:
    if len(content) % 2:
        raise RequestError(f"the audio has {len(content)} bytes, not a multiple of 2", "AUDIO_CORRUPT")
    if len(content) > 2 * MAX_SAMPLES:
        raise wrong_length(len(content) // 2)
    return np.frombuffer(content, dtype="<i2")


def _decode_flac(content: bytes) -> NDArray[np.int16]:
    """Decode FLAC, counting samples on the way: a few bytes may claim to be hours."""
    try:
        return np.concatenate([np.zeros(0, np.int16), *_flac_frames(content)])
    except TranscriptionError:
        raise
    except Exception as error:  # libav's binding raises whatever a half-understood file leaves it with
        raise RequestError(f"the audio is not FLAC: {type(error).__name__}", "AUDIO_CORRUPT") from None


def _flac_frames(content: bytes) -> Iterator[NDArray[np.int16]]:
    total = 0
    with av.open(io.BytesIO(content), mode="r", format="flac") as container:
        for frame in container.decode(audio=0):
            shape = (frame.sample_rate, frame.layout.nb_channels, frame.format.name)
            if shape != (SAMPLE_RATE, 1, "s16"):
                raise RequestError(
                    f"the FLAC audio is {shape[0]} Hz, {shape[1]} channels, {shape[2]}:"
                    f" expected {SAMPLE_RATE} Hz, 1 channel, s16",
                    "BAD_SAMPLE_RATE",
                )
            total += frame.samples
            if total > MAX_SAMPLES:
                raise wrong_length(total)
            yield frame.to_ndarray().reshape(-1).astype(np.int16, copy=False)
