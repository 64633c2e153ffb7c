"""Sound files of any length to sound in pieces with libav.

Damage is not fatal here: what cannot be decoded is silence of the same length, so that all that follows
keeps its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet

from producer.container import Container
from producer.libav import (
    audio_stream,
    channels_last,
    corrupt,
    frames_of,
    libav_errors,
    open_as,
    stated_seconds,
)
from producer.sound import Sound, check_range, check_rate, mix
from producer.streaming import Warn

#: How far a frame may be from where the one before ended, in seconds, before the gap is filled: WebM and
#: Matroska round times to milliseconds, Ogg Opus may start 6.5 ms early (RFC 7845, 4.2).
TOLERANCE = 0.015

#: Longest stretch of silence in one piece, in seconds, however long the gap is that it fills.
MAX_FILL = 10.0


def decoded(file: BinaryIO, container: Container, warn: Warn) -> Iterator[Sound]:
    """The first audio stream of `file`, a frame at a time.

    Native code on a stranger's bytes: only the decoding process calls this.

    Raises:
        RequestError: no sound in it, not a known codec, or nothing that can be decoded. If sound came
            before, the rest of the file cannot be read.
    """
    with libav_errors(), open_as(file, container.kind) as source:
        stream = audio_stream(source)
        track = _Track()
        for packet in source.demux(stream):
            for frame in track.frames(packet):
                yield from track.placed(frame)
        track.check(stated_seconds(source, stream) if container.states_length else None, warn)


@dataclass(slots=True)
class _Track:
    """How far the sound has come, counted in samples of its own rate."""

    rate: int = 0
    n_samples: int = 0
    begins: float = 0.0
    """What the file calls the time of the first sample, in seconds."""
    packets: int = 0
    lost: int = 0
    filled: int = 0
    """Samples of silence among `n_samples` that stand for what is missing."""

    def frames(self, packet: Packet[AudioStream]) -> list[AudioFrame]:
        """What `packet` holds; nothing if it is damaged."""
        self.packets += 1
        frames = frames_of(packet)
        self.lost += frames is None
        return frames or []

    def placed(self, frame: AudioFrame) -> Iterator[Sound]:
        """The sound of `frame`, and before it silence for what is missing."""
        if not self.rate:
            self.rate = check_rate(frame.sample_rate)
            self.begins = frame.time or 0.0
        if frame.sample_rate != self.rate:
            raise corrupt(f"changes its sample rate from {self.rate} to {frame.sample_rate} Hz")
        yield from self._silence(self._missing_before(frame))
        samples = mix(channels_last(frame))
        check_range(samples)
        self.n_samples += len(samples)
        yield Sound(samples=samples, rate=self.rate)

    def check(self, stated: float | None, warn: Warn) -> None:
        """Say what was lost; refuse what holds nothing. `stated` is the claimed length in seconds."""
        if not self.n_samples:
            raise corrupt("holds nothing that can be decoded")
        if self.lost:
            warn(f"{self.lost} of {self.packets} packets are damaged")
        if self.filled:
            warn(f"{self.filled / self.rate:.2f} s are missing from the file: taken for silence")
        seconds = self.n_samples / self.rate
        if stated is not None and stated - seconds > 1.0:  # less than that may be padding, or rounding
            warn(f"the file holds {seconds:.2f} of the {stated:.2f} s it claims")

    def _missing_before(self, frame: AudioFrame) -> int:
        if frame.time is None:
            return 0
        missing = frame.time - self.begins - self.n_samples / self.rate
        return round(missing * self.rate) if missing > TOLERANCE else 0

    def _silence(self, n_samples: int) -> Iterator[Sound]:
        while n_samples > 0:
            now = min(n_samples, int(MAX_FILL * self.rate))
            self.n_samples += now
            self.filled += now
            n_samples -= now
            yield Sound(samples=np.zeros(now, np.float32), rate=self.rate)
