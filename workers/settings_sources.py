"""Where settings come from: flags, the environment and a file, read into one shape.

Nothing is judged here but names: one that does not exist is a mistake, so that a typo cannot pass
silently. What the values may be is said in `workers.settings`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from workers.settings_names import PREFIX, Name

#: The variable that names the settings file; the only one of our prefix that is not itself a setting.
CONFIG_VARIABLE = "SEGUE_CONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A value for a setting, and where it was written: the source and the name it has there."""

    value: object = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one source gives, by `Name.path`, and what is wrong with the source itself."""

    given: Mapping[tuple[str, ...], Given] = field(default_factory=dict)
    mistakes: tuple[str, ...] = ()

    def nested(self, *, without: tuple[str, ...]) -> dict[str, Any]:
        """The values in the shape of `Settings`, except the one at the path `without`."""
        nested: dict[str, Any] = {}
        for path, found in self.given.items():
            if path == without:
                continue
            target = nested
            for block in path[:-1]:
                target = target.setdefault(block, {})
            target[path[-1]] = found.value
        return nested


def read_all(
    names: Collection[Name], *, flags: Mapping[str, object], environ: Mapping[str, str], config: Path | None
) -> Reading:
    """Read flags, environment and file together; in this order, what is given first holds."""
    file = config or environ.get(CONFIG_VARIABLE)
    readings = [from_flags(flags, names), from_environment(environ, names)]
    if file:
        readings.append(from_file(Path(file), names))
    return Reading(
        given={path: found for reading in reversed(readings) for path, found in reading.given.items()},
        mistakes=tuple(mistake for reading in readings for mistake in reading.mistakes),
    )


def from_flags(flags: Mapping[str, object], names: Collection[Name]) -> Reading:
    """Read keyword arguments; None stands for a flag that was not given."""
    values = {flag: value for flag, value in flags.items() if value is not None}
    known = {name.flag: name for name in names}
    return _read(values, known, lambda flag: "flag --" + flag.replace("_", "-"))


def from_environment(environ: Mapping[str, str], names: Collection[Name]) -> Reading:
    """Read variables; an empty one counts as not set, since compose files make such."""
    known = {name.env: name for name in names}
    values = {
        variable: value
        for variable, value in environ.items()
        if value and (variable in known or variable.upper().startswith(PREFIX))
    }
    values.pop(CONFIG_VARIABLE, None)
    return _read(values, known, lambda variable: f"environment {variable}")


def from_file(path: Path, names: Collection[Name]) -> Reading:
    """Read a YAML or TOML file."""
    try:
        content = _parse(path)
    except OSError as error:
        return Reading(mistakes=(f"file {path} cannot be read: {error.strerror}",))
    except ValueError as error:
        return Reading(mistakes=(f"file {path} {error}",))
    known = {name.file: name for name in names}
    blocks = {name.file.partition(".")[0] for name in names if "." in name.file}
    return _read(dict(_leaves(content, blocks)), known, lambda written: f"file {path}: {written}")


def read_secret(given: Given | None) -> str | None:
    """The content of the file that is named, without the last line's end, as a shell's `$(cat file)`.

    `ValueError` says what is wrong.
    """
    if given is None:
        return None
    try:
        secret = Path(str(given.value)).read_bytes().decode().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ValueError(f"{given.source} is {str(given.value)!r}, which cannot be read: {reason}") from None
    if not secret:
        raise ValueError(f"{given.source} is {str(given.value)!r}, which is empty")
    return secret


def _read(values: Mapping[str, object], known: Mapping[str, Name], source: Callable[[str], str]) -> Reading:
    given = {
        known[written].path: Given(value=value, source=source(written))
        for written, value in values.items()
        if written in known
    }
    unknown = [written for written in values if written not in known]
    return Reading(
        given=given,
        mistakes=tuple(f"{source(written)} is unknown: {_advice(written, known)}" for written in unknown),
    )


def _advice(written: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(written, known, n=1)
    return f"did you mean {close[0]}?" if close else "docs/settings.md lists the names there are"


def _leaves(content: Mapping[object, object], blocks: Collection[str]) -> Iterator[tuple[str, object]]:
    """Names and values, flat; a block whose lines are all commented out is an empty one."""
    for key, value in content.items():
        if key not in blocks:
            yield str(key), value
        elif isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", leaf) for inner, leaf in value.items())
        elif value is not None:
            yield f"{key} (a block, with no names in it)", value


def _parse(path: Path) -> Mapping[object, object]:
    """The content of `path`; errors never quote it, for it may hold a password."""
    parse = {".yaml": _parse_yaml, ".yml": _parse_yaml, ".toml": _parse_toml}.get(path.suffix.lower())
    if parse is None:
        raise ValueError("has a name that ends in none of .yaml, .yml, .toml")
    content = parse(path.read_bytes())
    if not isinstance(content, Mapping | None):
        raise ValueError("holds no names and values")
    return content or {}


def _parse_yaml(raw: bytes) -> object:
    try:
        return yaml.safe_load(raw)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ValueError(f"is not YAML near line {mark.line + 1}" if mark else "is not YAML") from None
    except (yaml.YAMLError, ValueError):
        raise ValueError("is not YAML") from None


def _parse_toml(raw: bytes) -> object:
    try:
        return tomllib.loads(raw.decode())
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not TOML: {error}") from None
