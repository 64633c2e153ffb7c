"""Speech with exact texts: sentences from the templates, spoken by espeak-ng in many voices.

    python -m training.speech --out DIR --sentences N [--seed 1] [--jobs 2] [--exclude MANIFEST …]

Clip number i depends on the seed and on i alone, so more jobs or more sentences change no clip.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import wave
from collections.abc import Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import soxr
from numpy.typing import NDArray

from training.flac import SAMPLE_RATE, write_flac
from training.manifest import Clip, read_manifest, write_manifest
from training.sentences import Sentence, draw

#: espeak-ng's accents of each language; each is spoken by every variant.
ACCENTS = {"en": ("en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland"), "es": ("es", "es-419"), "de": ("de",)}
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "f1", "f2", "f3", "f4", "f5")

#: Words a minute: 80 % to 110 % of espeak-ng's own 175, as people speak to machines.
SPEEDS = (135, 195)
#: On espeak-ng's scale of 0 to 99; further out, voices stop sounding like people.
PITCHES = (30, 70)

#: Highest sample of a clip (30 000 in int16): every voice equally loud, with room for noise on top.
PEAK = 30_000 / 32_768
#: What is quieter than this share of the peak at the edges is silence …
QUIET = 0.01
#: … of which so many samples stay (10 ms), so that soft beginnings are not cut.
MARGIN = SAMPLE_RATE // 100

#: The demo's own clips: never trained on, so that they measure something.
DEMO_CLIPS = Path(__file__).parent.parent / "workers" / "demo" / "speech" / "manifest.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """Who speaks, and how."""

    name: str
    """Accent and variant, as espeak-ng's `-v` takes them."""
    speed: int
    pitch: int

    @classmethod
    def drawn(cls, language: str, rng: Random) -> Voice:
        """A voice of `language`, drawn at random."""
        return cls(
            name=f"{rng.choice(ACCENTS[language])}+{rng.choice(VARIANTS)}",
            speed=rng.randint(*SPEEDS),
            pitch=rng.randint(*PITCHES),
        )


def speak(text: str, voice: Voice) -> NDArray[np.float32]:
    """`text` as espeak-ng says it: mono, 16 kHz, peak `PEAK`, edges trimmed, shape ``[n_samples]``."""
    command = ["espeak-ng", "-v", voice.name, "-s", str(voice.speed), "-p", str(voice.pitch), "--stdout"]
    spoken = subprocess.run([*command, text], capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(spoken)) as sound:
        rate = sound.getframerate()
        # Written to a pipe, the header gives the greatest length there is; the sound ends where it ends.
        samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2").astype(np.float32)
    samples = trim(soxr.resample(samples, rate, SAMPLE_RATE))
    return samples * np.float32(PEAK / np.abs(samples).max())


def trim(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """`samples` without the silence at their edges, but for 10 ms of it.

    Raises:
        ValueError: nothing but silence.
    """
    size = np.abs(samples)
    (loud,) = np.nonzero(size > QUIET * size.max(initial=0.0))
    if not len(loud):
        raise ValueError(f"nothing is heard in {len(samples)} samples")
    return samples[max(0, loud[0] - MARGIN) : loud[-1] + 1 + MARGIN]


def make_clip(folder: Path, index: int, sentence: Sentence, voice: Voice) -> Clip:
    """Speak a sentence into a file of `folder`."""
    samples = speak(sentence.text, voice)
    file = f"{sentence.language}-{index:05d}.flac"
    write_flac(folder / file, np.round(samples * 32_768).astype(np.int16))
    return Clip(file=file, language=sentence.language, text=sentence.text, samples=len(samples))


def make_speech(
    folder: Path, count: int, *, seed: int, jobs: int, excluded: Set[str] = frozenset()
) -> Iterator[Clip]:
    """Speak `count` sentences into `folder`, `jobs` at a time, and yield the clips in order."""

    def make(index: int) -> Clip:
        rng = Random(f"{seed}/{index}")
        sentence = draw(rng, excluded)
        return make_clip(folder, index, sentence, Voice.drawn(sentence.language, rng))

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(make, range(count))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.speech", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--sentences", type=int, required=True, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument(
        "--exclude",
        type=Path,
        nargs="*",
        default=[DEMO_CLIPS],
        metavar="MANIFEST",
        help="whose sentences are held out (default: the demo's own clips)",
    )
    options = parser.parse_args()
    excluded = {clip.text for path in options.exclude for clip in read_manifest(path)}
    options.out.mkdir(parents=True, exist_ok=True)
    clips = make_speech(
        options.out, options.sentences, seed=options.seed, jobs=options.jobs, excluded=excluded
    )
    print(f"{write_manifest(options.out, clips)} clips in {options.out}, {len(excluded)} texts held out")


if __name__ == "__main__":
    main()
