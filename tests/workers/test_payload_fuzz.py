"""Whatever bytes lie under a payload's key, a worker makes samples of them or a `RequestError`."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol.errors import RequestError
from protocol.request import MAX_SAMPLES, MIN_SAMPLES, Encoding, Payload
from tests.bad_sound import noise
from tests.bombs import flac_of_silence
from tests.sound_files import encode
from workers.payloads import decode_payload

#: A second of noise as FLAC, to be damaged.
FLAC = encode("flac", noise(1))

#: A place in it, and what is written there.
damages = st.lists(st.tuples(st.integers(0, len(FLAC) - 1), st.binary(min_size=1, max_size=8)), max_size=6)


def damaged(places: list[tuple[int, bytes]], cut: int) -> bytes:
    file = bytearray(FLAC)
    for at, written in places:
        file[at : at + len(written)] = written
    return bytes(file[: len(file) - cut])


def check(content: bytes, encoding: Encoding, samples: int) -> None:
    """Raise anything but `AssertionError` only if a worker would."""
    try:
        payload = Payload(encoding=encoding, length=samples, inline=b"")
        heard = decode_payload(content, payload)
    except RequestError:
        return
    if isinstance(heard, str):
        assert (encoding, len(heard)) == (Encoding.TEXT, samples)
        return
    assert heard.dtype == np.float32
    assert heard.shape == (samples,)
    assert np.abs(heard).max(initial=0) <= 1


lengths = st.one_of(st.just(16_000), st.integers(1, 20), st.integers(MIN_SAMPLES, MAX_SAMPLES))


@settings(max_examples=200)
@given(places=damages, cut=st.integers(0, len(FLAC)), samples=lengths)
def test_damaged_flac_is_decoded_or_refused(places: list[tuple[int, bytes]], cut: int, samples: int) -> None:
    """Flipped, overwritten and cut files raise nothing but `RequestError`."""
    check(damaged(places, cut), Encoding.FLAC, samples)


@settings(max_examples=200)
@given(content=st.binary(max_size=4_000), encoding=st.sampled_from(Encoding), samples=lengths)
@example(content=bytes(32_000), encoding=Encoding.PCM, samples=16_000)
@example(content="Grüße, 你好".encode(), encoding=Encoding.TEXT, samples=9)
@example(content=b"\xed\xa0\xbd", encoding=Encoding.TEXT, samples=1)
@example(content=flac_of_silence(36_000), encoding=Encoding.FLAC, samples=MAX_SAMPLES)
def test_any_bytes_are_decoded_or_refused(content: bytes, encoding: Encoding, samples: int) -> None:
    """Also ten hours in kilobytes, and what is no sound at all."""
    check(content, encoding, samples)
