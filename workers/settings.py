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
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from protocol import address
from protocol.signing import Keys, read_keys
from workers.settings_blocks import (
    MOST_MODELS,
    Admission,
    AudioContext,
    Batching,
    Block,
    ComputeType,
    Device,
    Engine,
    FakeCost,
    ModelName,
    Models,
    Seconds,
)
from workers.settings_mistakes import mistakes, safe
from workers.settings_names import Name, names_of
from workers.settings_sources import Given, read_all, read_secret

#: A day in seconds: the longest that makes sense to wait, and how long results are kept by default.
DAY = 86_400

#: What most people take first: on a laptop's processor it keeps up with speech.
DEFAULT_MODEL = "small"

WholeSeconds = Annotated[int, "whole seconds"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

MOST_PORT = 65_535

#: What an address to listen on may be.
LISTENING = "host:port, such as 127.0.0.1:9464; port 0 takes a free one"


class Settings(Block):
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
    engine: Engine = "faster-whisper"
    models: Models = Field({})
    """Several models, by the names that requests may ask for; empty is one, which `model` says."""
    model: ModelName = Field(default_factory=lambda data: next(iter(data.get("models") or ()), DEFAULT_MODEL))
    """A size name, a hub id, a folder, or "demo" for the packaged one; of several, the default's name."""
    max_loaded_models: int = Field(0, ge=0, le=MOST_MODELS)
    """How many are in memory at a time; 0 sets no limit."""
    model_idle_ttl: Seconds = Field(0.0, ge=0, le=DAY)
    """After how long without a batch a model leaves the memory, in seconds; 0 never."""
    device: Device = "auto"
    compute_type: ComputeType = "auto"
    cpu_threads: int = Field(0, ge=0, le=1024)
    """0 takes all cores."""
    audio_context: AudioContext = "auto"
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
    prepare_ahead: int = Field(2, ge=0, le=8)
    """How many batches are looked ahead and prepared while the engine runs; 0 prepares each in its turn."""
    metrics_address: Annotated[str, LISTENING] = ""
    """Where a worker answers Prometheus; empty answers nobody."""
    fake: FakeCost = FakeCost()
    log_level: Annotated[LogLevel, BeforeValidator(lambda text: str(text).upper())] = "INFO"

    @field_validator("redis_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        address.parse_address(url)
        return url

    @field_validator("metrics_address")
    @classmethod
    def _is_for_listening(cls, where: str) -> str:
        if where:
            parse_listening(where)
        return where

    @field_validator("model")
    @classmethod
    def _is_one_of_several(cls, name: str, info: ValidationInfo) -> str:
        models = info.data.get("models")
        if models and name not in models:
            raise ValueError(f"one of {', '.join(models)}, the names in models")
        return name

    @field_validator("signing_keys_file")
    @classmethod
    def _holds_keys(cls, path: str) -> str:
        if path:
            read_keys(Path(path))
        return path

    @property
    def catalogue(self) -> dict[str, Settings]:
        """For each model, by the name that requests may ask for, the settings of a worker with it alone."""
        if not self.models:
            return {self.model: self}
        own = {name: model.model_dump(exclude_none=True) for name, model in self.models.items()}
        return {name: self.model_copy(update={"models": {}, **parts}) for name, parts in own.items()}

    def signing_keys(self) -> Keys | None:
        """The keys that sign what is run; None if nothing has to be signed."""
        return read_keys(Path(self.signing_keys_file)) if self.signing_keys_file else None

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What `repr` and `str` show."""
        for name, value in super().__repr_args__():
            yield name, address.without_password(value) if name == "redis_url" else value


def parse_listening(where: str) -> tuple[str, int]:
    """Host and port of ``host:port``. Raises `ValueError`."""
    host, colon, port = where.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) <= MOST_PORT):
        raise ValueError(LISTENING)
    return host.strip("[]"), int(port)


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
        value: Any = self.settings.model_dump(exclude_none=True)
        for part in name.path:
            value = value[part]
        return safe(name.path, value)


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
    wrong = list(reading.mistakes)
    settings, password = None, None
    try:
        password = read_secret(reading.given.get(PASSWORD_FILE.path))
    except ValueError as error:
        wrong.append(str(error))
    try:
        settings = Settings.model_validate(reading.nested(without=PASSWORD_FILE.path))
    except ValidationError as error:
        wrong += mistakes(error, reading.given, NAMES)
    if settings is None or wrong:
        raise SettingsError(wrong)
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
