"""Payload → samples: fetches the audio of a batch in one round trip and decodes it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import av
import numpy as np
import redis
from numpy.typing import NDArray
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from protocol.errors import PayloadUnreachable, RequestError, TranscriptionError
from protocol.request import MAX_SAMPLES, SAMPLE_RATE, Encoding, Payload, wrong_length
from protocol.routing import PAYLOAD_KEY_PREFIX
from workers.engine.base import Samples

#: Longest wait for Redis's answer, in seconds: 8 MB of audio (a full batch of 30 s segments) in well
#: under a second, or something is wrong.
SOCKET_TIMEOUT = 5.0

#: Half the range of int16: what faster-whisper divides by (`faster_whisper.audio.decode_audio`).
FULL_SCALE = 32_768.0


class Payloads:
    """Where the audio of waiting requests lies."""

    def __init__(self, redis_url: str) -> None:
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=SOCKET_TIMEOUT,
            socket_connect_timeout=SOCKET_TIMEOUT,
            retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), retries=5),
        )

    def fetch(self, payloads: Sequence[Payload]) -> list[Samples | TranscriptionError]:
        """The samples of each payload, or why there are none; one round trip for all."""
        keys = [payload.key for payload in payloads if payload.key is not None]
        foreign = [key for key in keys if not key.startswith(PAYLOAD_KEY_PREFIX)]
        wanted = [key for key in keys if key not in foreign]
        try:
            stored = dict(zip(wanted, self._redis.mget(wanted), strict=True)) if wanted else {}
        except redis.RedisError as error:
            lost = PayloadUnreachable(f"Redis did not give the audio: {type(error).__name__}")
            return [lost for _ in payloads]
        return [self._decode(payload, stored) for payload in payloads]

    def _decode(self, payload: Payload, stored: Mapping[str, Any]) -> Samples | TranscriptionError:
        content = payload.inline if payload.key is None else stored.get(payload.key)
        if payload.key is not None and payload.key not in stored:
            return RequestError(f"audio.key does not start with {PAYLOAD_KEY_PREFIX!r}", "PATH_FORBIDDEN")
        if content is None:
            return RequestError(
                "the audio has expired or was removed before it was needed", "PAYLOAD_EXPIRED"
            )
        try:
            return decode_payload(content, payload)
        except TranscriptionError as error:
            return error


def decode_payload(content: bytes, payload: Payload) -> Samples:
    """Turn a payload's bytes into samples.

    Raises:
        RequestError: the bytes are not what the message announced.
    """
    pcm = _decode_flac(content) if payload.encoding is Encoding.FLAC else _decode_pcm(content)
    if len(pcm) != payload.samples:
        raise RequestError(
            f"the audio has {len(pcm)} samples, the message announced {payload.samples}", "AUDIO_CORRUPT"
        )
    return pcm.astype(np.float32) / np.float32(FULL_SCALE)


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
