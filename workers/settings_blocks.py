"""The parts of the settings that belong together: one class for each block of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from protocol.errors import RequestError
from protocol.option_values import MODEL_NAME, is_model_name
from protocol.request import check_tenant
from workers.settings_names import expected

Seconds = Annotated[float, "seconds"]
Milliseconds = Annotated[float, "milliseconds", Field(ge=0, le=60_000)]
Device = Literal["auto", "cpu", "cuda"]
AudioContext = Literal["auto", "full", "bucketed"]

#: The packaged engines, and what names one of the operator's own.
ENGINES = ("faster-whisper", "torch", "fake")
OWN_ENGINE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
ENGINE_NAME = f"one of {', '.join(ENGINES)}, or module:Class for one of your own"


def _is_an_engine(name: str) -> str:
    if name not in ENGINES and not OWN_ENGINE.fullmatch(name):
        raise ValueError(ENGINE_NAME)
    return name


Engine = Annotated[str, ENGINE_NAME, AfterValidator(_is_an_engine)]

#: The names CTranslate2 gives its types, and the two by which it chooses itself.
ComputeType = Literal[
    "auto",
    "default",
    "float32",
    "float16",
    "bfloat16",
    "int16",
    "int8",
    "int8_float32",
    "int8_float16",
    "int8_bfloat16",
]

#: Most models of a worker: more than anybody has use for, and few enough to be named in one error.
MOST_MODELS = 20

#: What a model may be called where it is loaded from: a folder's path is the longest there is.
ModelName = Annotated[str, Field(min_length=1, max_length=500)]


#: What the weights of tenants may be, as a phrase.
WEIGHTS = "names of tenants with a weight from 0.01 to 100 each, such as north=2, south=0.5"


def _weights(given: object) -> object:
    """``north=2, south=0.5`` or a mapping, checked whole: no part of it has a name of its own in errors."""
    try:
        pairs = dict(_pairs(given)) if isinstance(given, str) else dict(given)  # type: ignore[call-overload]
        weights = {check_tenant(str(name)): float(weight) for name, weight in pairs.items()}
    except (TypeError, ValueError, RequestError):
        raise ValueError(WEIGHTS) from None
    if not all(0.01 <= weight <= 100 for weight in weights.values()):
        raise ValueError(WEIGHTS)
    return weights


def _pairs(given: str) -> Iterator[tuple[str, str]]:
    """``a=b, c=d``, as a variable or a flag says a mapping; `ValueError` if it does not."""
    for part in filter(str.strip, given.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"no = in {part!r}")
        yield name.strip(), value.strip()


class Block(BaseModel):
    """Frozen, without unknown names, and without what was given in its errors: it may be a password."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _yes_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """YAML's `yes` is True, and Python's True is 1: not what anyone means by a batch size."""
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool:
            raise ValueError(expected(field))
        return value


class Batching(Block):
    """When a batch starts and how far it may grow; the file's `batch_processing_config` block."""

    enabled: bool = True
    """False runs every request alone."""
    max_batch_size: int = Field(8, ge=1, le=256)
    min_batch_size: Annotated[int, "a whole number from 1 to max_batch_size"] = Field(
        default_factory=lambda data: min(2, data.get("max_batch_size", 2)), ge=1
    )
    """How many must wait before an idle engine starts. By default 2, or 1 if batches hold only one."""
    max_batch_wait_ms: int = Field(100, ge=0, le=60_000)
    """The window, counted from when a request was enqueued; 0 waits for nobody."""
    dynamic_batching: bool = True
    """Learn how long batches take and how large they may be, and choose members by it."""
    max_batch_seconds: Seconds = Field(0.0, ge=0, le=7_680)
    """Most audio in a batch, each request counted as long as the longest; 0 sets no limit."""
    urgent_batch_ms: int = Field(0, ge=0, le=60_000)
    """How long a batch with an urgent request should take at most; 0 sets no limit."""
    tenant_weights: Annotated[dict[str, float], WEIGHTS, BeforeValidator(_weights)] = Field({})
    """What each tenant's share of the engine counts for; 1 unless named."""

    @field_validator("min_batch_size")
    @classmethod
    def _fits_into_a_batch(cls, size: int, info: ValidationInfo) -> int:
        largest = info.data.get("max_batch_size", size)
        if size > largest:
            raise ValueError(f"a whole number from 1 to max_batch_size, which is {largest}")
        return size

    @property
    def max_batch_wait(self) -> float:
        """The window in seconds."""
        return self.max_batch_wait_ms / 1000


class Admission(Block):
    """How much may wait in each priority before producers are refused."""

    max_waiting: int = Field(100_000, ge=0, le=100_000_000)
    """Requests; 0 sets no limit."""
    max_waiting_mb: int = Field(4_000, ge=0, le=1_000_000)
    """Audio in megabytes; 0 sets no limit."""


class FakeCost(Block):
    """How long the fake engine takes for a batch: fixed + rows + seconds of audio, and of its longest."""

    fixed_ms: Milliseconds = 20.0
    per_row_ms: Milliseconds = 5.0
    per_audio_second_ms: Milliseconds = 2.0
    per_longest_second_ms: Milliseconds = 0.0
    prepare_per_row_ms: Milliseconds = 0.0
    """What the engine's preparation of each request costs, before the batch."""


class Model(Block):
    """One model of several. What it leaves open is as the worker has it."""

    model: ModelName
    """A size name, a hub id, a folder, or "demo" for the packaged one."""
    engine: Engine | None = None
    device: Device | None = None
    compute_type: ComputeType | None = None
    audio_context: AudioContext | None = None

    @model_validator(mode="before")
    @classmethod
    def _may_be_its_name_alone(cls, given: object) -> object:
        return {"model": given} if isinstance(given, str) else given


def _from_text(given: object) -> object:
    """``fast=tiny, quality=small`` as a mapping: how a variable or a flag says it. Names become text."""
    if isinstance(given, Mapping):
        return {str(name): model for name, model in given.items()}
    if not isinstance(given, str):
        return given
    try:
        return dict(_pairs(given))
    except ValueError:
        raise ValueError(MODELS) from None


def _check_names(models: dict[str, Model]) -> dict[str, Model]:
    if len(models) > MOST_MODELS:
        raise ValueError(f"at most {MOST_MODELS} models, not {len(models)}")
    for name in models:
        if not is_model_name(name):
            raise ValueError(f"{MODEL_NAME} for each, unlike {name[:40]!r}")
    return models


#: What the block of models may be, as a phrase.
MODELS = "names with a model each, such as fast=tiny, quality=small"

Models = Annotated[dict[str, Model], MODELS, BeforeValidator(_from_text), AfterValidator(_check_names)]
