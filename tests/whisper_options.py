"""What faster-whisper is asked alone, to be compared with what it hears in a batch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from protocol.options import Options

#: Options of a request that faster-whisper does not know: it has one model, so nothing to choose.
OURS = frozenset({"model_pref"})


def for_whisper(options: Options) -> dict[str, Any]:
    """The arguments of `WhisperModel.transcribe` that ask for the same."""
    return {name: value for name, value in asdict(options).items() if name not in OURS}
