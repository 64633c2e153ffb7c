"""Pythons of their own for what does not go together with Segue, or is too large to ask for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

#: The newest celery-batches, and the newest Celery that it may be installed with.
CONTESTANT = {"celery": "5.6.3", "celery-batches": "0.11"}

#: What lies between Celery and Redis, in the versions that Segue runs on: else these would be compared too.
#: (kombu's Redis transport imports packaging without asking for it.)
SHARED = ("kombu", "redis", "hiredis", "packaging")

#: How long making the environment may take, in seconds: some 20 wheels over a slow line.
PATIENCE_SECONDS = 600.0


class NotInstalled(RuntimeError):
    """The packages could not be installed; says what pip said last."""


def pins() -> dict[str, str]:
    """What is installed, exactly."""
    return CONTESTANT | {name: version(name) for name in SHARED}


def python_with(
    packages: Mapping[str, str],
    cache: Path | None = None,
    *,
    alone: Mapping[str, str] | None = None,
    called: str = "celery-batches",
) -> Path:
    """The interpreter of an environment that holds `packages`, made when first asked for.

    Args:
        packages: versions by name.
        cache: where environments are kept; None takes the user's cache directory.
        alone: versions by name of those that are installed without what they depend on.
        called: how the name of its folder begins.

    Raises:
        NotInstalled: pip could not get them.
    """
    wanted, bare = _requirements(packages), _requirements(alone or {})
    named = blake2b(" ".join([sys.version, *wanted, *bare]).encode(), digest_size=8).hexdigest()
    folder = (cache or _user_cache()) / f"{called}-{named}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*install, *wanted])
        if bare:
            _run([*install, "--no-deps", *bare])
        (folder / "complete").touch()
    return python


def _requirements(packages: Mapping[str, str]) -> list[str]:
    return [f"{name}=={exact}" for name, exact in sorted(packages.items())]


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segue"


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip().splitlines()[-1:]
        raise NotInstalled(f"{' '.join(command[1:4])}: {said[0] if said else error}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{' '.join(command[1:4])}: {error}") from error
