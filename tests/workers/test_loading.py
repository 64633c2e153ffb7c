"""What a model name means, and what is said when there is no such model."""

from pathlib import Path

import pytest

from protocol.errors import EngineError
from workers import demo
from workers.engine.loading import chosen_compute_type, load_model, shown_name


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
