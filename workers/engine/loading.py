"""What a model name means, and on what it runs."""

from __future__ import annotations

from pathlib import Path

import ctranslate2
from faster_whisper import WhisperModel

from protocol.errors import EngineError
from workers import demo

DEMO = "demo"

#: `auto` on the CPU: the promise that a batched row equals the row alone is given at float32, so only
#: an operator who asks for int8 trades it for speed.
CPU_COMPUTE_TYPE = "float32"

#: `auto` on a GPU: half the memory of float32, and what Whisper's weights are published in.
CUDA_COMPUTE_TYPE = "float16"

#: Longest reason shown, in characters: a hub's error may quote a whole page.
MAX_REASON_CHARACTERS = 300


def load_model(
    name: str, *, device: str = "auto", compute_type: str = "auto", cpu_threads: int = 0
) -> WhisperModel:
    """Load the Whisper model that `name` means.

    Args:
        name: ``demo`` for the packaged one, a Whisper size (``tiny`` … ``large-v3-turbo``,
            ``distil-large-v3`` …), a hub id (``owner/name``), or a local folder. Sizes and hub ids are
            downloaded by faster-whisper unless they are in its cache.
        device: ``auto`` (a GPU if CTranslate2 sees one), ``cpu`` or ``cuda``.
        compute_type: ``auto`` or one of CTranslate2's.
        cpu_threads: threads of one engine call; 0 leaves it to CTranslate2 (`OMP_NUM_THREADS`, else 4).

    Raises:
        EngineError: `MODEL_UNAVAILABLE`, with the name and the reason in one sentence.
    """
    try:
        device = chosen_device(device)
        return WhisperModel(
            _folder_or_id(name),
            device=device,
            compute_type=chosen_compute_type(compute_type, device),
            cpu_threads=cpu_threads,
        )
    except Exception as error:  # the hub, the file system and CTranslate2 each raise their own
        raise unavailable(name, error) from error


def unavailable(name: str, error: BaseException) -> EngineError:
    """The error for a model that could not be loaded or run once, because of `error`."""
    reason = " ".join(str(error).split())[:MAX_REASON_CHARACTERS] or type(error).__name__
    return EngineError(f"model {name!r} cannot be loaded: {reason}", "MODEL_UNAVAILABLE")


def shown_name(name: str) -> str:
    """How a model stands on transcripts: a folder by its last part only, anything else as it is."""
    return Path(name).name if _is_folder(name) else name


def chosen_device(device: str) -> str:
    """The device that `auto` means here; anything else as it is."""
    if device != "auto":
        return device
    return "cuda" if ctranslate2.get_cuda_device_count() > 0 else "cpu"


def chosen_compute_type(compute_type: str, device: str) -> str:
    """The compute type that `auto` means on `device`; anything else as it is."""
    if compute_type != "auto":
        return compute_type
    if device == "cuda" and CUDA_COMPUTE_TYPE in ctranslate2.get_supported_compute_types(device):
        return CUDA_COMPUTE_TYPE
    return CPU_COMPUTE_TYPE


def model_folder(name: str) -> Path | None:
    """The folder that `name` means; None for a size or a hub id, which faster-whisper looks up."""
    if name == DEMO:
        return demo.model_path()
    return Path(name).expanduser() if _is_folder(name) else None


def _folder_or_id(name: str) -> str:
    folder = model_folder(name)
    if folder is None:
        return name
    if not folder.is_dir():
        raise FileNotFoundError("there is no such folder")
    return str(folder)


def _is_folder(name: str) -> bool:
    """Whether `name` is a local folder, or written as only a folder is (a hub id may hold one slash)."""
    return Path(name).is_dir() or name.startswith(("/", ".", "~"))
