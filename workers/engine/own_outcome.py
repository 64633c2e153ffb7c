"""What an engine of the operator's own has answered, as it can be told to the caller."""

from __future__ import annotations

from dataclasses import replace

import orjson
from pydantic import TypeAdapter, ValidationError

from protocol.errors import BY_NAME, EngineError, RequestError, TranscriptionError
from workers.engine.base import Heard
from workers.engine.isolation import MAX_MESSAGE_CHARACTERS, as_engine_error, said_by

#: Most that one outcome may hold, as JSON: it goes to Redis, and stays there for a day. An embedding of 4 096
#: numbers has some 80 000 bytes.
MAX_OUTCOME_BYTES = 1_000_000

#: Largest sound file in one, in bytes: 31 s at 48 kHz with 16 bit. It stays as long.
MAX_AUDIO_BYTES = 3_000_000

#: Longest code of an error, in characters: it is a label in metrics.
MAX_CODE_CHARACTERS = 40


class Mistake(Exception):
    """What an engine gave instead of what it owes."""


class Checker:
    """Tells an outcome that anybody can read from one that nobody could."""

    def __init__(self) -> None:
        self._heard = TypeAdapter(Heard)

    def __call__(self, outcome: object) -> Heard | TranscriptionError:
        """`outcome` as it can be told to the caller: what its JSON says.

        Raises:
            Mistake: it cannot be told.
        """
        if isinstance(outcome, TranscriptionError):
            return told(outcome)
        if not isinstance(outcome, Heard):
            raise Mistake(f"{type(outcome).__name__} for an outcome, expected Heard or an error")
        _check_audio(outcome.audio)
        try:
            written = orjson.dumps(replace(outcome, audio=None), option=orjson.OPT_SERIALIZE_NUMPY)
            if len(written) > MAX_OUTCOME_BYTES:
                raise Mistake(f"an outcome of {len(written)} bytes, the limit is {MAX_OUTCOME_BYTES}")
            return replace(self._heard.validate_json(written, strict=True), audio=outcome.audio)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise Mistake(f"{place} in an outcome: {first['msg']}") from None
        except (TypeError, RecursionError) as error:  # of orjson
            raise Mistake(f"an outcome that is not plain data: {error}") from None


def told(error: Exception) -> TranscriptionError:
    """`error` as the caller may have it: one of our own classes, with a text and a code."""
    if not isinstance(error, TranscriptionError):
        return as_engine_error(error)
    message = said_by(getattr(error, "message", ""))[:MAX_MESSAGE_CHARACTERS]
    if not isinstance(error, RequestError | EngineError):  # what becomes of a request is not for it to say
        return EngineError(message)
    kind: type[TranscriptionError] = next(kind for kind in type(error).__mro__ if kind in BY_NAME.values())
    return kind(message, said_by(getattr(error, "code", ""))[:MAX_CODE_CHARACTERS] or None)


def _check_audio(audio: object) -> None:
    if audio is None:
        return
    if not isinstance(audio, bytes):
        raise Mistake(f"{type(audio).__name__} for the audio of an outcome, expected the bytes of a file")
    if not audio:
        raise Mistake("audio of 0 bytes in an outcome: None is no audio")
    if len(audio) > MAX_AUDIO_BYTES:
        raise Mistake(f"audio of {len(audio)} bytes in an outcome, the limit is {MAX_AUDIO_BYTES}")
