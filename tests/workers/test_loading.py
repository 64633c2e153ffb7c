"""What a model name means, and what is said when there is no such model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.errors import EngineError, OutOfMemory
from workers import demo
from workers.engine.loading import (
    SMALL_BYTES,
    chosen_compute_type,
    is_small,
    load_model,
    unavailable,
)
from workers.engine.naming import shown_name


def refusal(name: str, *, device: str = "cpu", compute_type: str = "auto") -> str:
    """What loading this model raises."""
    with pytest.raises(EngineError) as caught:
        load_model(name, device=device, compute_type=compute_type)
    assert caught.value.code == "MODEL_UNAVAILABLE"
    return caught.value.message


def test_demo_is_the_packaged_model() -> None:
    """`demo` needs no network and runs at float32 on the CPU, where batched equals alone."""
    whisper = load_model("demo", device="cpu")
    assert whisper.model.is_multilingual
    assert whisper.model.compute_type == "float32"


def test_a_local_folder_is_a_model() -> None:
    """A folder that holds a converted Whisper is loaded from there, at the compute type asked for."""
    whisper = load_model(str(demo.model_path()), device="cpu", compute_type="int8")
    assert whisper.model.compute_type.startswith("int8")


def test_a_small_model_takes_calls_side_by_side_if_asked() -> None:
    """As many as it has threads; without being asked, one call has them all, as in faster-whisper."""
    assert load_model("demo", device="cpu", cpu_threads=2, side_by_side=True).model.num_workers == 2
    assert load_model("demo", device="cpu", cpu_threads=2).model.num_workers == 1


def test_small_is_what_stays_in_a_cores_cache(tmp_path: Path) -> None:
    """The packaged model does, no stock weights do; what is not here yet is a stock model."""
    with (tmp_path / "model.bin").open("wb") as weights:
        weights.truncate(SMALL_BYTES + 1)
    assert [is_small(folder) for folder in (demo.model_path(), tmp_path, None)] == [True, False, False]


def test_an_unknown_size_is_refused_with_those_known() -> None:
    """A typing mistake is answered with the names there are."""
    message = refusal("bsae")
    assert message.startswith("model 'bsae' cannot be loaded: ")
    assert "large-v3-turbo" in message


def test_a_missing_folder_is_not_looked_for_on_the_hub(tmp_path: Path) -> None:
    """What is written as a folder is a folder."""
    folder = str(tmp_path / "base")
    assert refusal(folder) == f"model {folder!r} cannot be loaded: there is no such folder"


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """The reason names the file that is missing."""
    assert "model.bin" in refusal(str(tmp_path))


@pytest.mark.parametrize(("device", "compute_type"), [("tpu", "auto"), ("cpu", "float7")])
def test_an_unknown_device_or_compute_type_is_refused(device: str, compute_type: str) -> None:
    """The reason names the value that is wrong."""
    message = refusal("demo", device=device, compute_type=compute_type)
    assert ("tpu" if device == "tpu" else "float7") in message


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (RuntimeError("CUDA failed with error out of memory"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("cuFFT error: CUFFT_INTERNAL_ERROR"), False),
        (RuntimeError("Unable to open file 'model.bin' in model 'x'"), False),
        (ValueError("out of memory is what this is not about"), False),
    ],
)
def test_too_little_memory_is_told_apart(error: Exception, *, is_memory: bool) -> None:
    """Both are `MODEL_UNAVAILABLE`; one of them may pass when other models have left."""
    found = unavailable("x", error)
    assert found.code == "MODEL_UNAVAILABLE"
    assert isinstance(found, OutOfMemory) is is_memory


def test_a_compute_type_that_was_asked_for_is_kept() -> None:
    """Only `auto` is ours to choose."""
    assert chosen_compute_type("int8", "cpu") == "int8"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("demo", "demo"),
        ("large-v3-turbo", "large-v3-turbo"),
        ("Systran/faster-whisper-base", "Systran/faster-whisper-base"),
        ("/srv/models/our-base", "our-base"),
    ],
)
def test_transcripts_do_not_show_where_a_model_lies(name: str, shown: str) -> None:
    """A folder stands on transcripts by its last part only."""
    assert shown_name(name) == shown


#: Names as people write them, and the repositories of the hub that they mean.
MEANT = {
    "tiny": "Systran/faster-whisper-tiny",
    "small": "Systran/faster-whisper-small",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
    "somebody/whisper-of-their-own": "somebody/whisper-of-their-own",
}

#: Loads models by their names without a network, each from a cache that holds nothing else.
LOAD = """
import sys
from huggingface_hub import constants
from workers.engine.loading import load_model
for name, cache in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    constants.HF_HUB_CACHE = cache
    print(name, load_model(name, cpu_threads=1).model.compute_type)
"""


def test_sizes_and_hub_ids_are_looked_up_in_the_cache(tmp_path: Path) -> None:
    """What faster-whisper has downloaded under a name once is found again by that name, without a network."""
    given: list[str] = []
    for name, repository in MEANT.items():
        cache = tmp_path / name.replace("/", "--")
        folder = cache / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("r1")
        (folder / "snapshots").mkdir()
        (folder / "snapshots" / "r1").symlink_to(demo.model_path())
        given += [name, str(cache)]
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, *given],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert [line.split()[0] for line in loaded.stdout.splitlines()] == [*MEANT]
