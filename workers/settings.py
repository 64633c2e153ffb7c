"""What an operator turns: one typed, frozen `Settings`, read once; every mistake named at once.

Sources, strongest first: flags, environment, file, defaults. docs/settings.md says what each costs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from protocol import address
from protocol.signing import Keys, read_keys
from workers.settings_names import Name, expected, names_of
from workers.settings_sources import Given, read_all, read_secret

#: A day in seconds: the longest that makes sense to wait, and how long results are kept by default.
DAY = 86_400

Seconds = Annotated[float, "seconds"]
WholeSeconds = Annotated[int, "whole seconds"]
Milliseconds = Annotated[float, "milliseconds", Field(ge=0, le=60_000)]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

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


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _yes_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """YAML's `yes` is True, and Python's True is 1: not what anyone means by a batch size."""
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool:
            raise ValueError(expected(field))
        return value


class Batching(_Block):
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
    """Halve the size after an out-of-memory and let it grow again."""

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


class Admission(_Block):
    """How much may wait in each priority before producers are refused."""

    max_waiting: int = Field(100_000, ge=0, le=100_000_000)
    """Requests; 0 sets no limit."""
    max_waiting_mb: int = Field(4_000, ge=0, le=1_000_000)
    """Audio in megabytes; 0 sets no limit."""


class FakeCost(_Block):
    """How long the fake engine takes for a batch: fixed + rows + seconds of audio."""

    fixed_ms: Milliseconds = 20.0
    per_row_ms: Milliseconds = 5.0
    per_audio_second_ms: Milliseconds = 2.0


class Settings(_Block):
    """Everything an operator turns.

    `model_dump_json` and `model_validate_json` carry it to another process, password included;
    `repr` and `str` do not show the password.
    """

    redis_url: Annotated[str, address.EXPECTED] = "redis://127.0.0.1:6379/0"
    allow_insecure: bool = False
    """Take an address of Redis without a password, or without verified certificates, from elsewhere."""
    strict_redis: bool = False
    """Refuse to start where a worker would only warn: known holes in this Redis, no append-only file."""
    signing_keys_file: Annotated[str, "the path of a file of keys"] = ""
    """Run only what a key of this file has signed; empty runs what anybody has sent."""
    batching: Batching = Batching()
    admission: Admission = Admission()
    engine: Literal["faster-whisper", "fake"] = "faster-whisper"
    model: str = Field("small", min_length=1, max_length=500)
    """A size name, a hub id, a folder, or "demo" for the packaged one."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_type: ComputeType = "auto"
    cpu_threads: int = Field(0, ge=0, le=1024)
    """0 takes all cores."""
    audio_context: Literal["auto", "full", "bucketed"] = "auto"
    """Short audio: padded to 30 s, or to one of a few lengths; "auto" is what the model allows."""
    transport: Literal["claim", "redis"] = "claim"
    """How messages are taken: "claim" loses none and recovers in seconds; "redis" is kombu's own."""
    batch_timeout: Seconds = Field(300.0, ge=0.1, le=DAY)
    """How long a batch may take, in seconds, before its engine process is killed."""
    load_timeout: Seconds = Field(600.0, ge=0.1, le=DAY)
    """How long loading may take, in seconds; a first start may download the weights."""
    shutdown_grace: Seconds = Field(20.0, ge=0, le=DAY)
    """How long a stopping worker waits for the batch that runs, in seconds."""
    result_ttl: WholeSeconds = Field(DAY, ge=1, le=30 * DAY)
    max_retries: int = Field(2, ge=0, le=100)
    """Further attempts after an engine error for which again may help."""
    retry_delay: Seconds = Field(1.0, ge=0, le=3600)
    fake: FakeCost = FakeCost()
    log_level: Annotated[LogLevel, BeforeValidator(lambda text: str(text).upper())] = "INFO"

    @field_validator("redis_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        address.parse_address(url)
        return url

    @field_validator("signing_keys_file")
    @classmethod
    def _holds_keys(cls, path: str) -> str:
        if path:
            read_keys(Path(path))
        return path

    def signing_keys(self) -> Keys | None:
        """The keys that sign what is run; None if nothing has to be signed."""
        return read_keys(Path(self.signing_keys_file)) if self.signing_keys_file else None

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What `repr` and `str` show."""
        for name, value in super().__repr_args__():
            yield name, address.without_password(value) if name == "redis_url" else value


class SettingsError(ValueError):
    """The operator's fault: one line for each mistake, with its source, name, value and limit."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(mistakes))


#: Not in `Settings`: the password that the file holds becomes part of `redis_url`.
PASSWORD_FILE = Name(
    path=("redis_password_file",),
    flag="redis_password_file",
    file="redis_password_file",
    expected="a file that holds the password and nothing else",
    default=None,
)
NAMES = (*names_of(Settings), PASSWORD_FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The settings, and by `Name.path` where each that is not a default was given."""

    settings: Settings
    given: Mapping[tuple[str, ...], Given]

    def shown(self) -> Iterator[tuple[str, object, str]]:
        """Name in the file, value and source of every setting; without the password."""
        for name in NAMES:
            source = self.given[name.path].source if name.path in self.given else "default"
            yield name.file, self._value(name), source

    def _value(self, name: Name) -> object:
        if name is PASSWORD_FILE:
            return str(self.given[name.path].value) if name.path in self.given else None
        value: Any = self.settings
        for part in name.path:
            value = getattr(value, part)
        return _safe(name.path, value)


def load_settings(config: Path | None = None, **flags: object) -> Settings:
    """Read the settings of this process.

    Args:
        config: a YAML or TOML file; None takes the one that `SEGUE_CONFIG` names, if any.
        flags: by `Name.flag`, such as ``max_batch_size=4``; None is a flag that was not given.

    Raises:
        SettingsError: something is wrong; the message has one line for each mistake.
    """
    return load(config, flags=flags, environ=os.environ).settings


def load(config: Path | None, *, flags: Mapping[str, object], environ: Mapping[str, str]) -> Loaded:
    """Read the settings as `load_settings` does, and keep where each was given."""
    reading = read_all(NAMES, flags=flags, environ=environ, config=config)
    mistakes = list(reading.mistakes)
    settings, password = None, None
    try:
        password = read_secret(reading.given.get(PASSWORD_FILE.path))
    except ValueError as error:
        mistakes.append(str(error))
    try:
        settings = Settings.model_validate(reading.nested(without=PASSWORD_FILE.path))
    except ValidationError as error:
        mistakes += _mistakes(error, reading.given)
    if settings is None or mistakes:
        raise SettingsError(mistakes)
    if password is not None:
        url = address.with_password(settings.redis_url, password)
        settings = settings.model_copy(update={"redis_url": url})
    _check_safe(settings, reading.given)
    return Loaded(settings=settings, given=reading.given)


def _check_safe(settings: Settings, given: Mapping[tuple[str, ...], Given]) -> None:
    """Raise `SettingsError` if requests would lie open; once the password is known, so after the rest."""
    if settings.allow_insecure:
        return
    try:
        address.check_safe(address.parse_address(settings.redis_url))
    except address.BadAddress as error:
        shown = address.without_password(settings.redis_url)
        raise SettingsError([f"{given['redis_url',].source} is {shown!r}: {error}"]) from None


def _mistakes(error: ValidationError, given: Mapping[tuple[str, ...], Given]) -> Iterator[str]:
    names = {name.path: name for name in NAMES}
    for detail in error.errors(include_url=False):
        found = given.get(path := tuple(map(str, detail["loc"])))
        if found is None:  # a default that could not be computed because of another mistake, already named
            continue
        limit = str(detail["ctx"]["error"]) if detail["type"] == "value_error" else names[path].expected
        limit = limit if "expected" in limit else f"expected {limit}"
        yield f"{found.source} is {repr(_safe(path, found.value))[:60]}: {limit}"


def _safe(path: tuple[str, ...], value: object) -> object:
    return address.without_password(value) if path == ("redis_url",) else value
