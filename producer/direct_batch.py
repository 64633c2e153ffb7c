"""A direct batch of the predecessor: entries in plain data → audio → results in plain data. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard
from uuid import uuid4

from numpy.typing import NDArray

from producer.given import GivenForMany
from producer.numbers import read_numbers
from producer.plain import check_fields, plain_error, plain_transcript
from producer.results import Outcome
from protocol.errors import RequestError, TranscriptionError
from protocol.request import SAMPLE_RATE

#: The predecessor's choice among its models, and how long each looks for the likeliest text: where a worker
#: has one model, that is all that is left to choose. A beam of 1 is greedy decoding, the least work there is.
PREFERENCES: dict[str, GivenForMany] = {"fast": {"beam_size": 1}, "balanced": {}, "quality": {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of `batch_data`."""

    given_id: str | int | None
    """The caller's own, given back as it came; in Segue the request has another."""
    audio: tuple[NDArray[Any], int] | RequestError = field(repr=False)
    """Samples with their rate in Hz; or why the entry cannot be sent, which the others need not know."""


class DirectBatch:
    """What `batch_data` holds, and how it is answered.

    Callers name their entries ``"sample1"`` in every call: so each call has ids of its own in Segue, which
    stand beside the caller's as `task_id`.
    """

    def __init__(self, batch_data: object, *, model_pref: object, language: object) -> None:
        """Raises `RequestError` for what concerns all entries, but for the language: the client does."""
        if not isinstance(batch_data, list | tuple):
            raise RequestError(f"batch_data is of type {type(batch_data).__name__}: expected a list")
        self._preference = check_preference(model_pref)
        self._language: Any = language
        self._entries = [read_entry(entry, at) for at, entry in enumerate(batch_data)]
        call = uuid4().hex
        self._task_ids = [f"{call}-{at}" for at in range(len(self._entries))]

    @property
    def audios(self) -> list[tuple[NDArray[Any], int]]:
        """What to transcribe."""
        return [one.audio for one in self._entries if not isinstance(one.audio, RequestError)]

    @property
    def given(self) -> GivenForMany:
        """How to transcribe it."""
        names = zip(self._entries, self._task_ids, strict=True)
        ids = [name for one, name in names if not isinstance(one.audio, RequestError)]
        return {
            **PREFERENCES[self._preference],
            "model_pref": self._preference,
            "language": self._language,
            "request_ids": ids,
        }

    def answer(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """The answer to the call, by the outcomes of `audios`: an error only if every entry failed."""
        left = iter(outcomes)
        ended = [one.audio if isinstance(one.audio, RequestError) else next(left) for one in self._entries]
        errors = [one for one in ended if isinstance(one, TranscriptionError)]
        all_failed = bool(errors) and len(errors) == len(ended)
        return {
            "status": "error" if all_failed else "success",
            **({"error": plain_error(errors[0])} if all_failed else {}),
            "results": list(map(_result, self._entries, self._task_ids, ended)),
            "warnings": [self._meaning()],
        }

    def _meaning(self) -> str:
        changed = PREFERENCES[self._preference]
        how = ", ".join(f"{name} {value}" for name, value in changed.items()) or "the default options"
        model = "the worker's model of that name, if it has several, and"
        return f"model_pref {self._preference!r} means {model} {how}; each result names its model"


def read_entry(entry: object, at: int) -> Entry:
    """The entry at this place; whatever is wrong with it is in it."""
    given = entry.get("request_id") if isinstance(entry, Mapping) else None
    given_id = given if _is_name(given) else None
    try:
        fields = check_fields(
            entry, f"batch_data[{at}]", required=("audio_data",), optional=("sample_rate", "request_id")
        )
        if given is not None and given_id is None:
            raise _no_name(given)
        return Entry(
            given_id=given_id,
            audio=read_numbers(fields["audio_data"], fields.get("sample_rate", SAMPLE_RATE)),
        )
    except RequestError as error:
        return Entry(given_id=given_id, audio=error)


def check_preference(model_pref: object) -> str:
    """Return `model_pref` if it is one of `PREFERENCES`, else raise `RequestError`."""
    if not isinstance(model_pref, str) or model_pref not in PREFERENCES:
        raise RequestError(
            f"model_pref is {repr(model_pref)[:40]}: expected one of {', '.join(PREFERENCES)}", "BAD_OPTION"
        )
    return model_pref


def _is_name(given: object) -> TypeGuard[str | int]:
    """Whether it can be a caller's id: any text or whole number, since it goes nowhere but back."""
    return isinstance(given, str | int) and not isinstance(given, bool)


def _no_name(given: object) -> RequestError:
    return RequestError(
        f"request_id is {repr(given)[:40]}: expected text or a whole number", "BAD_REQUEST_ID"
    )


def _result(entry: Entry, task_id: str, outcome: Outcome) -> dict[str, Any]:
    names = {"request_id": entry.given_id, "task_id": task_id}
    if isinstance(outcome, TranscriptionError):
        return {**names, "error": plain_error(outcome)}
    return {**plain_transcript(outcome), **names}
