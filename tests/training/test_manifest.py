"""The list of the clips of a folder."""

from pathlib import Path

import pytest

from training.manifest import NAME, Clip, read_manifest, write_manifest
from training.speech import DEMO_CLIPS

CLIPS = [
    Clip(file="de-00000.flac", language="de", text="Wo ist die rote Tür?", samples=19_267),
    Clip(file="es-00001.flac", language="es", text="¿Dónde está la puerta roja?", samples=27_131),
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Clips come back as they were, in order, with every letter."""
    assert write_manifest(tmp_path, CLIPS) == 2
    assert list(read_manifest(tmp_path / NAME)) == CLIPS


def test_the_demo_manifest_is_what_we_would_write(tmp_path: Path) -> None:
    """One format for all speech: the demo's own manifest is rewritten byte for byte."""
    write_manifest(tmp_path, read_manifest(DEMO_CLIPS))
    assert (tmp_path / NAME).read_bytes() == DEMO_CLIPS.read_bytes()


@pytest.mark.parametrize("line", ["not json", "[]", '{"file": "a.flac"}', '{"speaker": "m1"}'])
def test_a_line_that_is_no_clip_is_named(tmp_path: Path, line: str) -> None:
    """A broken manifest tells in which line it is broken."""
    write_manifest(tmp_path, CLIPS)
    with (tmp_path / NAME).open("a", encoding="utf-8") as manifest:
        manifest.write(line + "\n")
    with pytest.raises(ValueError, match="line 3 is not a clip"):
        list(read_manifest(tmp_path / NAME))
