"""What is wrong with the settings, a line for each mistake: its source, name, value and limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from protocol import address
from workers.settings_blocks import Model
from workers.settings_names import Name, expected
from workers.settings_sources import Given

#: Longest value shown, in characters.
MAX_SHOWN = 60


def mistakes(
    error: ValidationError, given: Mapping[tuple[str, ...], Given], names: Iterable[Name]
) -> Iterator[str]:
    """A line for each of pydantic's errors about what was `given`."""
    known = {name.path: name for name in names}
    for detail in error.errors(include_url=False):
        path = tuple(map(str, detail["loc"]))
        if found := given.get(path):
            limit = _own_words(detail) or known[path].expected
            yield f"{found.source} is {_shown(path, found.value)}: {_expecting(limit)}"
        elif found := given.get(path[:1]):  # one of the models: `models.fast.device`
            yield f"{'.'.join([found.source, *path[1:]])} {_in_models(detail, path[1:])}"
        # else a default that could not be computed because of another mistake, already named


def safe(path: tuple[str, ...], value: object) -> object:
    """`value` of the setting at `path`, as it may be shown: without a password."""
    return address.without_password(value) if path == ("redis_url",) else value


def _in_models(detail: Any, path: tuple[str, ...]) -> str:
    """What is wrong at `path` inside the block of models, which begins with the name of one."""
    fields = Model.model_fields
    if detail["type"] == "extra_forbidden":
        return f"is unknown: expected one of {', '.join(fields)}"
    if len(path) == 1:
        return f"is {_shown(path, detail['input'])}: expected a model, or a block of {', '.join(fields)}"
    is_there = detail["type"] != "missing"
    what = _shown(path, detail["input"]) if is_there else "missing"
    return f"is {what}: {_expecting(_own_words(detail) or expected(fields[path[1]]))}"


def _own_words(detail: Any) -> str:
    """What a validator of ours has said; empty if it was not one."""
    return str(detail["ctx"]["error"]) if detail["type"] == "value_error" else ""


def _expecting(limit: str) -> str:
    return limit if "expected" in limit else f"expected {limit}"


def _shown(path: tuple[str, ...], value: object) -> str:
    return repr(safe(path, value))[:MAX_SHOWN]
