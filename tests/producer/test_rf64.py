"""Rule: RF64 and BW64 are WAV files that say their sizes elsewhere, so that they may be above 4 GB."""

from __future__ import annotations

import io
import struct
from typing import Any

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from producer.audio import read_audio
from producer.long_audio import read_pieces
from protocol.errors import RequestError

SOUND = np.random.default_rng(1).integers(-8_000, 8_000, 16_000, dtype=np.int16)


def rf64(samples: NDArray[np.int16] = SOUND) -> bytes:
    """As libav writes it."""
    file = io.BytesIO()
    with av.open(file, mode="w", format="wav", options={"rf64": "always"}) as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        assert isinstance(stream, AudioStream)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return file.getvalue()


def claiming(size: int) -> bytes:
    """One whose `ds64` chunk says that there are so many bytes of data."""
    file = bytearray(rf64())
    struct.pack_into("<Q", file, file.index(b"ds64") + 16, size)
    return bytes(file)


def pieces(file: bytes, warnings: list[str] | None = None) -> NDArray[Any]:
    said: list[str] = [] if warnings is None else warnings
    return np.concatenate(list(read_pieces(file, sample_rate=None, warn=said.append)))


@pytest.mark.parametrize("name", [b"RF64", b"BW64"])
def test_it_is_read_as_any_wav(name: bytes) -> None:
    """As an audio segment and as a recording; and what comes after the sound is none."""
    file = name + rf64()[4:] + b"LIST" + struct.pack("<I", 800) + bytes(range(200)) * 4
    np.testing.assert_array_equal(read_audio(file).samples, SOUND)
    np.testing.assert_array_equal(pieces(file), SOUND)


@pytest.mark.parametrize("size", [32_002, 5 * 2**30])
def test_what_is_missing_of_it_is_said(size: int) -> None:
    """An audio segment is whole or refused; of a recording is read what there is."""
    with pytest.raises(RequestError, match=f"has 32000 of the {size} bytes") as caught:
        read_audio(claiming(size))
    assert caught.value.code == "AUDIO_TRUNCATED"
    warnings: list[str] = []
    np.testing.assert_array_equal(pieces(claiming(size), warnings), SOUND)
    assert warnings == [f"the WAV file has 32000 of the {size} bytes of data it claims"]


@pytest.mark.parametrize("read", [read_audio, pieces])
def test_a_chunk_too_short_for_a_size_is_refused(read: Any) -> None:
    """It says nothing."""
    file = rf64()
    at = file.index(b"ds64")
    with pytest.raises(RequestError, match="a ds64 chunk of 8 bytes") as caught:
        read(file[:at] + b"ds64" + struct.pack("<I", 8) + bytes(8) + file[at + 36 :])
    assert caught.value.code == "AUDIO_CORRUPT"
