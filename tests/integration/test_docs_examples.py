"""Promise: the examples for those who know Celery run as they stand, with stock Celery alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import redis
from numpy.typing import NDArray

from protocol.routing import PAYLOAD_KEY_PREFIX
from tests.integration.conftest import StartWorker
from workers.engine.fake import fingerprint

MESSAGES = Path(__file__).parents[2] / "docs" / "messages.md"

#: Ends the examples: none of our modules may have come in.
EPILOGUE = """
import sys
assert not {"protocol", "producer", "workers", "celeryconfig"} & set(sys.modules)
"""


def test_messages_for_those_who_know_celery(
    start_worker: StartWorker,
    redis_url: str,
    redis_client: redis.Redis,
    noise: Callable[..., NDArray[np.int16]],
    tmp_path: Path,
) -> None:
    """All blocks of docs/messages.md, one after the other: a transcript, an error with its code, a group."""
    start_worker()
    audio = noise(1)
    with wave.open(str(tmp_path / "speech.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(audio.tobytes())
    blocks = re.findall(r"^```python\n(.*?)^```$", MESSAGES.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ran = subprocess.run(
        [sys.executable, "-c", "".join(blocks) + EPILOGUE],
        cwd=tmp_path,
        env={**os.environ, "REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    text, code, languages = ran.stdout.splitlines()
    assert text == fingerprint(audio.astype(np.float32) / np.float32(32_768))
    assert code.startswith("UNSUPPORTED_FORMAT audio.encoding is 'opus'")
    assert languages == "['en', 'en']"
    assert not redis_client.keys(f"{PAYLOAD_KEY_PREFIX}*")
