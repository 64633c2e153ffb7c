"""A Python of its own for celery-batches."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from bench.elsewhere import NotInstalled, pins, python_with

WANTED = {"celery-batches": "0.11"}


def test_only_celery_differs() -> None:
    """Everything between Celery and Redis is what Segue runs on, and everything is pinned."""
    assert pins()["kombu"] == version("kombu")
    assert pins()["redis"] == version("redis")
    assert pins()["celery"] != version("celery")


def test_only_what_is_whole_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If pip fails, its reason is told and the next call tries again; what is complete is taken as it is."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(NotInstalled, match=r"celery-batches==0\.11"):
        python_with(WANTED, tmp_path)
    (folder,) = tmp_path.glob("celery-batches-*")
    assert not (folder / "complete").exists()
    (folder / "complete").touch()
    assert python_with(WANTED, tmp_path) == folder / "bin" / "python"
