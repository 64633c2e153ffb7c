"""What a model name means, and on what it runs."""

from __future__ import annotations

from pathlib import Path

import ctranslate2
from faster_whisper import WhisperModel

from protocol.errors import EngineError, OutOfMemory
from workers.engine.naming import local_folder

#: `auto` on the CPU: the promise that a batched row equals the row alone is given at float32, so only
#: an operator who asks for int8 trades it for speed.
CPU_COMPUTE_TYPE = "float32"

#: `auto` on a GPU: half the memory of float32, and what Whisper's weights are published in.
CUDA_COMPUTE_TYPE = "float16"

#: Bytes of a `model.bin` whose calls are better made side by side. Threads of one call wait for each other
#: after every product, and a small model's are short; but each call reads all weights for every token, so
#: they must stay in a core's cache. On two cores calls side by side took half as long with 7 MB at float32
#: (the packaged model, 2.5 MB on disk); with 60 MB they took 0.8 of the CPU time for hearing, but 1.5 times
#: that for the text (2026-11-23).
SMALL_BYTES = 16_000_000

#: What CTranslate2, torch, cuBLAS and cuDNN write when the device is full (OpenNMT/CTranslate2, `src/cuda`;
#: PyTorch, `c10/core/impl/alloc_cpu.cpp`).
_OUT_OF_MEMORY = ("out of memory", "alloc_failed", "allocation_failed", "can't allocate memory")

#: Longest reason shown, in characters: a hub's error may quote a whole page.
MAX_REASON_CHARACTERS = 300


def load_model(
    name: str,
    *,
    device: str = "auto",
    compute_type: str = "auto",
    cpu_threads: int = 0,
    side_by_side: bool = False,
) -> WhisperModel:
    """Load the Whisper model that `name` means.

    Args:
        name: ``demo`` for the packaged one, a Whisper size (``tiny`` … ``large-v3-turbo``,
            ``distil-large-v3`` …), a hub id (``owner/name``), or a local folder. Sizes and hub ids are
            downloaded by faster-whisper unless they are in its cache.
        device: ``auto`` (a GPU if CTranslate2 sees one), ``cpu`` or ``cuda``.
        compute_type: ``auto`` or one of CTranslate2's.
        cpu_threads: threads of one engine call; 0 leaves it to CTranslate2 (`OMP_NUM_THREADS`, else 4).
        side_by_side: have as many calls at once instead, of one thread each, if the model is so small
            that this is faster. How many stands in `model.num_workers`.

    Raises:
        EngineError: `MODEL_UNAVAILABLE`, with the name and the reason in one sentence.
    """
    try:
        device = chosen_device(device)
        folder = local_folder(name)
        lanes = cpu_threads if side_by_side and device == "cpu" and is_small(folder) else 1
        return WhisperModel(
            str(folder or name),
            device=device,
            compute_type=chosen_compute_type(compute_type, device),
            cpu_threads=1 if lanes > 1 else cpu_threads,
            num_workers=max(1, lanes),
        )
    except Exception as error:  # the hub, the file system and CTranslate2 each raise their own
        raise unavailable(name, error) from error


def unavailable(name: str, error: BaseException) -> EngineError:
    """The error for a model that could not be loaded or run once, because of `error`.

    An `OutOfMemory` if there was too little: when others have left, again may help.
    """
    reason = " ".join(str(error).split())[:MAX_REASON_CHARACTERS] or type(error).__name__
    kind = OutOfMemory if is_out_of_memory(error) else EngineError
    return kind(f"model {name!r} cannot be loaded: {reason}", "MODEL_UNAVAILABLE")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, of the device or of this process, was too little."""
    if isinstance(error, MemoryError | OutOfMemory):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in message for sign in _OUT_OF_MEMORY)


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


def is_small(folder: Path | None) -> bool:
    """Whether the model in `folder` is better run in several calls at once; no stock weights are."""
    return folder is not None and (folder / "model.bin").stat().st_size <= SMALL_BYTES
