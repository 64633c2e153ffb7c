"""Which engine the operator has chosen, and with what."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from protocol.errors import EngineError
from workers.engine.base import Engine
from workers.engine.fake import FakeEngine
from workers.engine.own import OwnEngine
from workers.settings import Settings

if TYPE_CHECKING:
    from workers.engine.faster_whisper import FasterWhisperEngine


def make_engine(settings: Settings) -> Engine:
    """The engine that the operator has chosen, not loaded yet."""
    if settings.engine == "fake":
        cost = settings.fake
        return FakeEngine(
            settings.model,
            fixed=cost.fixed_ms / 1000,
            per_row=cost.per_row_ms / 1000,
            per_second=cost.per_audio_second_ms / 1000,
            per_longest=cost.per_longest_second_ms / 1000,
            prepare=cost.prepare_per_row_ms / 1000,
        )
    how: dict[str, Any] = {
        "device": settings.device,
        "compute_type": settings.compute_type,
        "cpu_threads": settings.cpu_threads or os.cpu_count() or 1,
    }
    if ":" in settings.engine:
        return OwnEngine(settings.engine, settings.model, **how)
    return whisper_engine(settings.engine)(settings.model, audio_context=settings.audio_context, **how)


def whisper_engine(name: str) -> type[FasterWhisperEngine]:
    """The class of an engine with a model. Its libraries take seconds to import, so only if it is wanted.

    Raises:
        EngineError: `MODEL_UNAVAILABLE`: a library is not installed.
    """
    try:
        if name == "torch":
            from workers.engine.torch.engine import TorchWhisperEngine

            return TorchWhisperEngine
        from workers.engine.faster_whisper import FasterWhisperEngine

        return FasterWhisperEngine
    except ModuleNotFoundError as error:
        raise EngineError(
            f"engine {name!r} needs {error.name}: pip install 'segue[torch]'", "MODEL_UNAVAILABLE"
        ) from error
