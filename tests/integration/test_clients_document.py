"""Promise: the examples of docs/clients.md run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import srt  # type: ignore[import-untyped]
from numpy.typing import NDArray

from tests.integration.conftest import StartWorker

DOCUMENT = Path(__file__).parents[2] / "docs" / "clients.md"


def test_all_blocks_run_one_after_the_other(
    start_worker: StartWorker,
    redis_url: str,
    noise: Callable[..., NDArray[np.int16]],
    tmp_path: Path,
) -> None:
    """Transcripts, an error in its place, progress, a cancellation, and files that others can read."""
    start_worker()
    for number, name in enumerate(("one", "two")):
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(noise(number).tobytes())
    (tmp_path / "broken.wav").write_text("not a sound")
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ran = subprocess.run(
        [sys.executable, "-c", "".join(blocks)],
        cwd=tmp_path,
        env={**os.environ, "REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "2 of 3\n3 of 3\n" in ran.stdout
    assert "[UNSUPPORTED_FORMAT]" in ran.stdout
    assert re.search(r"^(queued|running|cancelled|completed) (True|False)$", ran.stdout, re.MULTILINE)
    assert len(list(srt.parse((tmp_path / "one.srt").read_text("utf-8")))) == 1
    assert (tmp_path / "one.vtt").read_text("utf-8").startswith("WEBVTT\n\n")
