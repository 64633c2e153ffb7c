"""A sound file to the sound of one audio segment with libav, at most as much as a segment may hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import BinaryIO

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from producer.container import Container
from producer.libav import (
    PADDING,
    audio_stream,
    channels_last,
    codec_of,
    corrupt,
    frames_of,
    libav_errors,
    open_as,
    stated_seconds,
)
from producer.sound import Sound, check_range, check_rate, mix
from protocol.errors import RequestError
from protocol.request import MAX_SECONDS, SAMPLE_RATE, wrong_length

#: How far a stated length may exceed the limit before the file is refused undecoded, in seconds: it may
#: count padding that the decoder drops, and a second more is decoded in no time.
STATED_SLACK = 1.0

#: Share of the packets, and of the stated length, that may be missing before the file is refused; one packet
#: always may.
MAX_LOST_SHARE = 0.05


def decode(file: BinaryIO, container: Container) -> Sound:
    """Decode the first audio stream of `file`, at most as much as an audio segment may hold.

    Native code on a stranger's bytes: only the decoding process calls this.

    Raises:
        RequestError: no sound in it, not a known codec, damaged, cut short, or too long.
    """
    with libav_errors(), open_as(file, container.kind) as opened:
        stream = audio_stream(opened)
        stated = stated_seconds(opened, stream) if container.states_length else None
        if stated is not None and stated > MAX_SECONDS + STATED_SLACK:
            raise wrong_length(int(stated * SAMPLE_RATE))
        heard = _decode_packets(opened, stream)
    sound = heard.sound(stated)
    return replace(sound, warnings=container.warnings + sound.warnings)


@dataclass(slots=True)
class _Decoded:
    """What has come out of the decoder so far."""

    padding: float
    """By how much its length may be off, in seconds."""
    rate: int = 0
    n_samples: int = 0
    packets: int = 0
    lost: int = 0
    chunks: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, frame: AudioFrame) -> None:
        """Mix `frame` down and keep it; refuse it before that if it would be too long."""
        self.rate = self.rate or check_rate(frame.sample_rate)
        if frame.sample_rate != self.rate:
            raise corrupt(f"changes its sample rate from {self.rate} to {frame.sample_rate} Hz")
        self.n_samples += frame.samples
        if self.n_samples > (MAX_SECONDS + self.padding) * self.rate:
            raise RequestError(
                f"the audio is longer than {MAX_SECONDS:.0f} s, the longest audio segment", "TOO_LONG"
            )
        self.chunks.append(mix(channels_last(frame)))

    def sound(self, stated: float | None) -> Sound:
        """All of it, if there is enough of it; `stated` is the length that the file claims, in seconds."""
        if not self.n_samples:
            raise corrupt("holds nothing that can be decoded") if self.lost or stated else wrong_length(0)
        warnings = self._lost() + self._missing(stated or 0.0)
        samples = np.concatenate(self.chunks)
        check_range(samples)
        longest = int(MAX_SECONDS * self.rate)
        if len(samples) > longest:
            warnings += (f"the last {len(samples) / self.rate - MAX_SECONDS:.3f} s were cut off as padding",)
        return Sound(samples=samples[:longest], rate=self.rate, warnings=warnings)

    def _lost(self) -> tuple[str, ...]:
        damage = f"{self.lost} of {self.packets} packets are damaged"
        if self.lost > max(1, MAX_LOST_SHARE * self.packets):
            raise corrupt(f"cannot be decoded: {damage}")
        return (f"{damage} and were left out",) if self.lost else ()

    def _missing(self, stated: float) -> tuple[str, ...]:
        seconds = self.n_samples / self.rate
        shortage = f"the file holds {seconds:.2f} of the {stated:.2f} s it claims"
        missing = stated - seconds - self.padding
        if missing > MAX_LOST_SHARE * stated:
            raise RequestError(shortage, "AUDIO_TRUNCATED")
        return (shortage,) if missing > 0 else ()


def _decode_packets(opened: InputContainer, stream: AudioStream) -> _Decoded:
    decoded = _Decoded(padding=PADDING[codec_of(stream)])
    for packet in opened.demux(stream):
        decoded.packets += 1
        frames = frames_of(packet)
        if frames is None:
            decoded.lost += 1
            continue
        for frame in frames:
            decoded.add(frame)
    return decoded
