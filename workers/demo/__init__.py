"""The packaged demo: a tiny real Whisper and synthetic speech whose exact words are known."""

import json
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One file of the packaged speech; none of them was used to train the model."""

    path: Path
    """A FLAC file, 16 kHz mono, 16 bit."""
    language: str
    text: str
    """Exactly what is said."""
    samples: int


def model_path() -> Path:
    """The folder of the demo model, as `faster_whisper.WhisperModel` loads it."""
    return _HERE / "model"


def speech() -> list[Clip]:
    """The packaged clips in the order of their manifest: English, Spanish and German mixed."""
    folder = _HERE / "speech"
    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [_clip(folder, json.loads(line)) for line in lines]


def _clip(folder: Path, entry: dict[str, str | int]) -> Clip:
    return Clip(
        path=folder / str(entry["file"]),
        language=str(entry["language"]),
        text=str(entry["text"]),
        samples=int(entry["samples"]),
    )
