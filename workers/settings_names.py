"""What each setting is called in each source and what it may be, computed from the model itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

#: What our variables begin with. `REDIS_URL` is everybody's name for an address of Redis, so it has none.
PREFIX = "SEGUE_"
UNPREFIXED = "redis_"

#: The predecessor's name for its block in the settings file.
BATCHING_BLOCK = "batch_processing_config"

_NOUNS: dict[object, str] = {int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """What one setting is called, and what it may be."""

    path: tuple[str, ...]
    """Where it is in `Settings`."""
    flag: str
    """Its keyword in `load_settings`; with dashes, its flag on the command line."""
    file: str
    """Its name in the file, after its block and a dot; also what reports call it."""
    expected: str
    default: object

    @property
    def env(self) -> str:
        """Its environment variable."""
        return ("" if self.flag.startswith(UNPREFIXED) else PREFIX) + self.flag.upper()


def names_of(model: type[BaseModel], block: str = "") -> Iterator[Name]:
    """The names of all settings in `model` and in the blocks inside it.

    Flags and variables are flat: those of `batching` stand alone (`max_batch_size`), except for its
    switch (`batching_enabled`); those of any other block follow its name (`fake_fixed_ms`).
    """
    for field_name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from names_of(kind, field_name)
            continue
        alone = not block or (block == "batching" and field_name != "enabled")
        in_file = BATCHING_BLOCK if block == "batching" else block
        yield Name(
            path=(block, field_name) if block else (field_name,),
            flag=field_name if alone else f"{block}_{field_name}",
            file=f"{in_file}.{field_name}" if block else field_name,
            expected=expected(field),
            default=field.get_default(call_default_factory=True, validated_data={}),
        )


def expected(field: FieldInfo) -> str:
    """What `field` may be, as a phrase; a string in its `Annotated` replaces the noun."""
    kind = _given(field.annotation)
    if kind is bool:
        return "true or false"
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    noun = next((hint for hint in field.metadata if isinstance(hint, str)), _NOUNS.get(kind, ""))
    low = next((hint.ge for hint in field.metadata if isinstance(hint, Ge)), None)
    high = next((hint.le for hint in field.metadata if isinstance(hint, Le)), None)
    longest = next((hint.max_length for hint in field.metadata if isinstance(hint, MaxLen)), None)
    if longest is not None:
        return f"{noun} of 1 to {longest} characters"
    return noun if high is None else f"{noun} from {low} to {high}"


def _given(annotation: Any) -> Any:
    """What may be written for a field that may also be left out: `annotation` without None."""
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return kinds[0] if get_origin(annotation) in (Union, UnionType) else annotation
