"""What Redis holds of a recording: its parts and their places, so that any process can collect it.

A hash, one field for each part, written before the part is enqueued; ``end`` once all are, ``cancelled`` if
somebody has cancelled it. Writing it twice changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from producer.assembly import Failure, Part
from producer.exchange import Exchange
from protocol.errors import EngineError, TranscriptionError
from protocol.request import check_request_id
from protocol.wire import decode_error

KEY_PREFIX = "segue:recording:"

#: How long it is kept after it was last written, in seconds: as long as the results of the parts.
TTL = 86_400

#: Longest id of a recording, in characters: those of its parts are longer by a dash and up to 7 digits.
MAX_ID = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What is known of a recording once all of it has been read."""

    duration: float
    """In seconds."""
    language: str | None
    """What the caller said that it is."""
    warnings: tuple[str, ...]
    unread: Failure | None
    """The rest of a file that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What Redis held of a recording at one instant."""

    parts: tuple[Part, ...]
    refused: dict[str, TranscriptionError]
    """Parts that could not be enqueued, by request id."""
    end: End | None
    cancelled: bool


def check_recording_id(request_id: object) -> str:
    """Return `request_id` if it can be that of a recording, else raise `RequestError`."""
    name = check_request_id(request_id)
    check_request_id(name + "x" * (128 - MAX_ID))  # refuses what leaves no room for the parts' numbers
    return name


def part_id(request_id: str, number: int) -> str:
    """The request id of a part; `number` counts from 1."""
    return f"{request_id}-{number:04}"


def announcement(
    request_id: str, number: int, part: Part, refused: TranscriptionError | None = None
) -> Exchange[bool]:
    """Write down a part; has somebody cancelled the recording?"""
    entry = [part.offset, part.n_samples, part.lead]
    error = [type(refused).__name__, refused.message, refused.code] if refused else []
    return _write(request_id, str(number), [*entry, *error])


def ending(request_id: str, end: End) -> Exchange[bool]:
    """Write down that there are no more parts; has somebody cancelled the recording?"""
    return _write(request_id, "end", asdict(end))


def cancellation(request_id: str) -> Exchange[bool]:
    """Write down that the recording is cancelled."""
    return _write(request_id, "cancelled", True)


def listing(request_id: str) -> Exchange[Listed]:
    """All that is written down."""
    return Exchange(
        commands=[("HGETALL", KEY_PREFIX + request_id)], read=lambda answers: _listed(request_id, answers[0])
    )


def _write(request_id: str, field: str, value: Any) -> Exchange[bool]:
    key = KEY_PREFIX + request_id
    return Exchange(
        commands=[
            ("HSET", key, field, json.dumps(value)),
            ("EXPIRE", key, TTL),
            ("HEXISTS", key, "cancelled"),
        ],
        read=lambda answers: bool(answers[2]),
        transaction=True,
    )


def _listed(request_id: str, stored: Any) -> Listed:
    pairs = stored.items() if isinstance(stored, dict) else zip(stored[::2], stored[1::2], strict=True)
    try:
        fields = {name.decode(): json.loads(value) for name, value in pairs}
        entries = _in_order(fields)
        parts = [
            Part(request_id=part_id(request_id, number), offset=entry[0], n_samples=entry[1], lead=entry[2])
            for number, entry in enumerate(entries, start=1)
        ]
        refused = {
            part.request_id: decode_error({"exc_type": entry[3], "exc_message": entry[4:]})
            for part, entry in zip(parts, entries, strict=True)
            if len(entry) > 3
        }
        return Listed(
            parts=tuple(parts), refused=refused, end=_end(fields.get("end")), cancelled="cancelled" in fields
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise EngineError(f"what is stored of recording {request_id} is not ours", "BAD_RESULT") from error


def _in_order(fields: dict[str, Any]) -> Sequence[list[Any]]:
    """The entries of parts 1, 2, 3, … as far as all are there."""
    entries: list[list[Any]] = []
    while (entry := fields.get(str(len(entries) + 1))) is not None:
        entries.append(entry)
    return entries


def _end(stored: Any) -> End | None:
    if stored is None:
        return None
    unread = Failure(**stored["unread"]) if stored["unread"] else None
    return End(**{**stored, "warnings": tuple(stored["warnings"]), "unread": unread})
