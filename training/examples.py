"""What the model sees and shall say: sentences joined, silence around them, gain, noise, tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from training.flac import SAMPLE_RATE, as_floats
from training.tokenizer import Vocabulary

Samples = NDArray[np.float32]
"""float32 mono PCM, 16 kHz, −1..1, shape ``[n_samples]``."""

#: A Whisper window holds 30 s; a second is left for the silence at the end.
LONGEST = 29.0

#: Most requests are one sentence or a few; some have more, and so do windows of long recordings.
FEW, MANY, MANY_SHARE = (1, 3), (4, 6), 0.1
#: Seconds of silence between sentences, before the first and after the last.
GAP, LEAD, TAIL = (0.15, 0.9), (0.0, 1.0), (0.0, 0.5)
#: Loudness against a clip at full scale: −20 dB to none.
GAIN = (0.1, 1.0)
#: Standard deviation of white noise at full gain, as powers of ten: −70 to −30 dB of full scale.
NOISE, NOISE_SHARE = (-3.5, -1.5), 0.7

#: Examples in which nobody speaks, and how many seconds they last.
NOBODY_SHARE, NOBODY_SECONDS = 0.03, (0.5, 8.0)
#: Examples that follow another text, and those that want timestamps.
PREVIOUS_SHARE, TIMESTAMPS_SHARE = 0.15, 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A sentence in a voice."""

    text: str
    samples: NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Sound, and the tokens that the model shall say to it."""

    samples: Samples
    tokens: tuple[int, ...]
    """The whole decoder sequence, from the previous text or `<|startoftranscript|>` on."""
    given: int
    """How many of the tokens are given; what follows is to be said."""
    pieces: tuple[int, ...]
    """The text alone, which the encoder must tell by itself (CTC)."""


Corpus = Mapping[str, Sequence[Spoken]]
"""Spoken sentences by language."""


def make_example(corpus: Corpus, vocabulary: Vocabulary, rng: Random) -> Example:
    """An example drawn at random."""
    if rng.random() < NOBODY_SHARE:
        return _nobody(vocabulary, rng)
    clips = sum(len(spoken) for spoken in corpus.values())
    (language,) = rng.choices(list(corpus), [len(spoken) / clips for spoken in corpus.values()])
    samples, placed = _join(corpus[language], rng)
    heading = [vocabulary.special("startoftranscript")]
    if rng.random() < PREVIOUS_SHARE:
        previous = rng.choice(corpus[language]).text
        heading = [vocabulary.special("startofprev"), *vocabulary.pieces(previous), *heading]
    said = _say(placed, vocabulary, timestamps=rng.random() < TIMESTAMPS_SHARE)
    task = [vocabulary.special(language), vocabulary.special("transcribe")]
    return Example(
        samples=_disturb(samples, rng),
        tokens=(*heading, *task, *said, vocabulary.special("endoftext")),
        given=len(heading),
        pieces=tuple(piece for text, _, _ in placed for piece in vocabulary.pieces(text)),
    )


def _nobody(vocabulary: Vocabulary, rng: Random) -> Example:
    silence = np.zeros(int(rng.uniform(*NOBODY_SECONDS) * SAMPLE_RATE), np.float32)
    tokens = (vocabulary.special("startoftranscript"), vocabulary.special("nospeech"))
    return Example(samples=_disturb(silence, rng), tokens=tokens, given=1, pieces=())


def _join(spoken: Sequence[Spoken], rng: Random) -> tuple[Samples, list[tuple[str, float, float]]]:
    """Sentences after one another, and each one's text, start and end in seconds."""
    count = rng.randint(*(MANY if rng.random() < MANY_SHARE else FEW))
    stretches: list[Samples] = []
    placed: list[tuple[str, float, float]] = []
    end = 0.0
    for one in rng.choices(spoken, k=count):
        start = end + rng.uniform(*(GAP if placed else LEAD))
        if placed and start + len(one.samples) / SAMPLE_RATE > LONGEST:
            break
        stretches += [_silence(start - end), as_floats(one.samples)]
        end = sum(map(len, stretches)) / SAMPLE_RATE
        placed.append((one.text, start, end))
    return np.concatenate([*stretches, _silence(rng.uniform(*TAIL))]), placed


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def _disturb(samples: Samples, rng: Random) -> Samples:
    gain = rng.uniform(*GAIN)
    if rng.random() < NOISE_SHARE:
        white = np.random.default_rng(rng.getrandbits(32)).standard_normal(len(samples), np.float32)
        samples = samples + white * np.float32(10 ** rng.uniform(*NOISE))
    return np.asarray(np.clip(samples * np.float32(gain), -1, 1), np.float32)


def _say(placed: list[tuple[str, float, float]], vocabulary: Vocabulary, *, timestamps: bool) -> list[int]:
    if not timestamps:
        texts = [piece for text, _, _ in placed for piece in vocabulary.pieces(text)]
        return [vocabulary.special("notimestamps"), *texts]
    said = []
    for text, start, end in placed:
        said += [vocabulary.time(start), *vocabulary.pieces(text), vocabulary.time(end)]
    return said
