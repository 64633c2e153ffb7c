"""What the name of a model means: the packaged one, a folder, or what faster-whisper looks up."""

from __future__ import annotations

from pathlib import Path

from workers import demo

DEMO = "demo"


def shown_name(name: str) -> str:
    """How a model stands on transcripts: a folder by its last part only, anything else as it is."""
    return Path(name).name if _is_folder(name) else name


def model_folder(name: str) -> Path | None:
    """The folder that `name` means; None for a size or a hub id, which faster-whisper looks up."""
    if name == DEMO:
        return demo.model_path()
    return Path(name).expanduser() if _is_folder(name) else None


def local_folder(name: str) -> Path | None:
    """The folder that `name` means, which is there; None for a size or a hub id.

    Raises:
        FileNotFoundError: `name` is written as a folder is, and there is none.
    """
    folder = model_folder(name)
    if folder is not None and not folder.is_dir():
        raise FileNotFoundError("there is no such folder")
    return folder


def _is_folder(name: str) -> bool:
    """Whether `name` is a local folder, or written as only a folder is (a hub id may hold one slash)."""
    return Path(name).is_dir() or name.startswith(("/", ".", "~"))
