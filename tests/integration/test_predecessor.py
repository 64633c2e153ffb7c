"""Promise: what the predecessor's documentation shows works as it stands, and so does our page about it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from tests.integration.servers import worker_on
from tests.integration.zmq_service import zmq_service
from tests.redis_users import as_user
from workers.engine.fake import fingerprint
from workers.settings import load

DOCUMENT = Path(__file__).parents[2] / "docs" / "predecessor.md"

#: What its reader has at hand: three audio segments.
AUDIO = """
import numpy as np
audio1, audio2, audio_data = (np.load(f"{name}.npy") for name in ("one", "two", "three"))
"""

#: Its documentation, word for word.
THEIRS = (Path(__file__).parent / "predecessor.md").read_text("utf-8")

#: What had to be imported there, and what is to be imported here: nothing else is changed.
IMPORT_THERE, IMPORT_HERE = "from main_pc_code.utils import model_client", "from producer import model_client"


def section(title: str) -> str:
    """The code below a heading of their documentation."""
    found = re.search(rf"^#+ {title}\n.*?^```\w+\n(.*?)^```$", THEIRS, re.MULTILINE | re.DOTALL)
    assert found
    return found[1].replace(IMPORT_THERE, IMPORT_HERE)


DIRECT = section("Direct Batch Processing")
QUEUED = section("Queued Batch Processing")
SETTINGS = section("Configuration")

#: What it left to its reader: to collect the transcript.
COLLECTED = """
socket.send_json({"action": "result", "request_id": request_id, "timeout": 60})
print(socket.recv_json()["text"])
socket.close()
context.term()
"""

Run = Callable[[str], str]


@pytest.fixture(scope="module")
def audios() -> dict[str, NDArray[np.float32]]:
    """Three that all differ, by name."""
    rng = np.random.default_rng(3)
    return {
        name: rng.integers(-8_000, 8_000, 8_000, dtype=np.int16).astype(np.float32) / np.float32(32_768)
        for name in ("one", "two", "three")
    }


@pytest.fixture(scope="module")
def run(
    new_redis: str, tmp_path_factory: pytest.TempPathFactory, audios: dict[str, NDArray[np.float32]]
) -> Iterator[Run]:
    """Runs a script in a folder with the audio, beside a worker and the service; gives what it prints."""
    folder = tmp_path_factory.mktemp("predecessor")
    for name, audio in audios.items():
        np.save(folder / f"{name}.npy", audio)
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes((audio * 32_768).astype(np.int16).tobytes())
    producer_url = as_user(new_redis, "producer")
    with worker_on(new_redis, folder), zmq_service(producer_url, folder) as (_, endpoint):

        def run(script: str) -> str:
            port = endpoint.rpartition(":")[2]  # a test must not ask for 5800, which may be taken
            ran = subprocess.run(
                [sys.executable, "-c", script.replace("localhost:5800", f"localhost:{port}")],
                cwd=folder,
                env={**os.environ, "REDIS_URL": producer_url},
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
            assert (ran.returncode, ran.stderr) == (0, "")
            return ran.stdout

        yield run


def test_its_direct_batch(run: Run, audios: dict[str, NDArray[np.float32]]) -> None:
    """The transcripts in the order of the batch; and again, with the same ids."""
    said = [f"Transcript: {fingerprint(audios[name])}" for name in ("one", "two")]
    assert run(AUDIO + DIRECT + DIRECT).splitlines() == 2 * said


def test_nothing_but_the_import_is_changed() -> None:
    """Their document has two snippets, and one line of one of them is another here."""
    theirs = re.findall(r"^```python\n(.*?)^```$", THEIRS, re.MULTILINE | re.DOTALL)
    assert [one.replace(IMPORT_THERE, IMPORT_HERE) for one in theirs] == [DIRECT, QUEUED]
    assert THEIRS.count(IMPORT_THERE) == 1


def test_its_settings(tmp_path: Path) -> None:
    """The block as it stands, in a file of its own, is what a worker is set to."""
    (tmp_path / "llm_config.yaml").write_text(SETTINGS)
    loaded = load(tmp_path / "llm_config.yaml", flags={}, environ={})
    batching = loaded.settings.batching
    assert batching.model_dump(include={"enabled", "dynamic_batching"}) == {
        "enabled": True,
        "dynamic_batching": True,
    }
    assert (batching.max_batch_size, batching.min_batch_size, batching.max_batch_wait_ms) == (8, 2, 100)
    named = {name.rpartition(".")[2] for name, _, source in loaded.shown() if source != "default"}
    assert named >= {*yaml.safe_load(SETTINGS)["batch_processing_config"]}


def test_its_queued_batch(run: Run, audios: dict[str, NDArray[np.float32]]) -> None:
    """The id comes back, and under it the transcript."""
    assert run(AUDIO + QUEUED + COLLECTED).splitlines() == [
        "Audio queued with request ID: my_request_1",
        fingerprint(audios["three"]),
    ]


def test_all_blocks_of_our_page(run: Run, audios: dict[str, NDArray[np.float32]]) -> None:
    """docs/predecessor.md, one block after the other: results, an error in its place, the service."""
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    first, second, third, queued, result, health, unknown = run(
        "".join(blocks).replace("my_request_1", "my_request_9")
    ).splitlines()
    one, two = (fingerprint(audios[name]) for name in ("one", "two"))
    assert (first, second) == (f"sample1 {one} None", f"sample2 {two} None")
    assert third.startswith("sample3 None {'code': 'AUDIO_EMPTY'")
    assert re.fullmatch(r"my_request_9 (queued|batched|running|completed)", queued)
    assert (result, unknown) == (one, "UNKNOWN_ID")
    assert health == "{'status': 'success', 'queue': {'urgent': 0, 'normal': 0, 'bulk': 0}}"
