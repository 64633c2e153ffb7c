"""Examples as arrays: features as faster-whisper makes them, padded to the longest of the batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from training.examples import Corpus, Example, Spoken, make_example
from training.flac import read_flac
from training.manifest import NAME, read_manifest
from training.tokenizer import Vocabulary

#: Examples of a batch, if nothing else is said.
BATCH = 64
#: Batches whose examples are sorted by length together: little padding, and still a mixture.
POOL = 6
#: Share of batches padded to the whole window, which is what stock callers give the model.
FULL_SHARE = 0.06
FULL_FRAMES = 3000
#: A label that no loss is taken on (torch's `ignore_index`).
NO_LABEL = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Arrays of one step; `n` examples."""

    features: NDArray[np.float32]
    """Log-mel, shape ``[n, 80, frames]``, an even number of frames of 10 ms."""
    frames: NDArray[np.int64]
    """Frames of each example before padding, shape ``[n]``."""
    inputs: NDArray[np.int64]
    """What the decoder is given, shape ``[n, tokens]``."""
    labels: NDArray[np.int64]
    """What it shall say at each place, or `NO_LABEL`, shape ``[n, tokens]``."""
    pieces: tuple[tuple[int, ...], ...]
    """The text of each example, for CTC."""


def load_corpus(folder: Path) -> Corpus:
    """The clips of a folder in memory; 24 000 of them, 12 hours, are 1.4 GB."""
    corpus: dict[str, list[Spoken]] = defaultdict(list)
    for clip in read_manifest(folder / NAME):
        corpus[clip.language].append(Spoken(text=clip.text, samples=read_flac(folder / clip.file)))
    return corpus


def endless_batches(
    corpus: Corpus, vocabulary: Vocabulary, rng: Random, size: int = BATCH
) -> Iterator[Batch]:
    """Batches of `size` examples of similar length, for as long as they are asked for."""
    extract = FeatureExtractor()
    while True:
        pool = [make_example(corpus, vocabulary, rng) for _ in range(size * POOL)]
        pool.sort(key=lambda example: len(example.samples))
        batches = [pool[start : start + size] for start in range(0, len(pool), size)]
        rng.shuffle(batches)
        for examples in batches:
            full = rng.random() < FULL_SHARE
            yield _batch(examples, extract, vocabulary, full=full)


def _batch(
    examples: list[Example], extract: FeatureExtractor, vocabulary: Vocabulary, *, full: bool
) -> Batch:
    # The last frame is of padding alone; faster-whisper drops it before it encodes, and so do we.
    rows = [extract(example.samples)[:, :-1] for example in examples]
    frames = np.array([row.shape[1] for row in rows])
    features = np.zeros((len(rows), 80, FULL_FRAMES if full else _even(frames.max())), np.float32)
    for padded, row in zip(features, rows, strict=True):
        padded[:, : row.shape[1]] = row
    inputs, labels = _targets(examples, vocabulary.special("endoftext"))
    pieces = tuple(example.pieces for example in examples)
    return Batch(features=features, frames=frames, inputs=inputs, labels=labels, pieces=pieces)


def _targets(examples: list[Example], end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    longest = max(len(example.tokens) for example in examples) - 1
    inputs = np.full((len(examples), longest), end)
    labels = np.full((len(examples), longest), NO_LABEL)
    for row, example in enumerate(examples):
        tokens = example.tokens
        inputs[row, : len(tokens) - 1] = tokens[:-1]
        labels[row, example.given - 1 : len(tokens) - 1] = tokens[example.given :]
    return inputs, labels


def _even(frames: int) -> int:
    return int(frames + frames % 2)
