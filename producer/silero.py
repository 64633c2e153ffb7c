"""Speech told from everything else by the Silero detector, where it is installed: a model of 1 MB.

It is the file that faster-whisper ships, run by onnxruntime; neither is needed by a producer, which
otherwise goes by loudness. https://github.com/snakers4/silero-vad
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producer.splitting import FRAME, Samples

#: What a frame is heard with: the samples before it, as the model was trained (silero-vad, `utils_vad.py`).
CONTEXT = 64

#: Speech begins above the first of these probabilities and ends below the second: Silero's defaults.
BEGINS, ENDS = 0.5, 0.35


def is_installed() -> bool:
    """Whether the detector's model and what runs it are there."""
    return find_spec("onnxruntime") is not None and _model() is not None


class Silero:
    """Hears speech, whatever else is loud. Remembers one recording: make one for each."""

    def __init__(self) -> None:
        self._session = _session()
        self._state = {"h": np.zeros((1, 1, 128), np.float32), "c": np.zeros((1, 1, 128), np.float32)}
        self._before = np.zeros(CONTEXT, np.float32)
        self._speaks = False

    def __call__(self, samples: Samples) -> NDArray[np.bool_]:
        """Whether each frame of ``[n_frames * FRAME]`` samples holds speech."""
        sound = np.concatenate([self._before, samples.astype(np.float32) / 32_768])
        self._before = sound[-CONTEXT:]
        frames = np.lib.stride_tricks.sliding_window_view(sound, CONTEXT + FRAME)[::FRAME]
        said, h, c = self._session.run(None, {"input": np.ascontiguousarray(frames), **self._state})
        self._state = {"h": h, "c": c}
        return np.array([self._decide(float(probability)) for probability in said.reshape(-1)])

    def _decide(self, probability: float) -> bool:
        self._speaks = probability >= (ENDS if self._speaks else BEGINS)
        return self._speaks


def _model() -> Path | None:
    """The file of the model; faster-whisper itself is only looked for, never imported."""
    found = find_spec("faster_whisper")
    folders = (found.submodule_search_locations or ()) if found else ()
    files = (file for folder in folders for file in Path(folder, "assets").glob("silero_vad_v6*.onnx"))
    return next(files, None)


@lru_cache(maxsize=1)
def _session() -> Any:
    """One session for all recordings: it holds no state between calls. Safe to share between threads."""
    onnxruntime = import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1  # a block is too small to share
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        str(_model()), providers=["CPUExecutionProvider"], sess_options=options
    )
